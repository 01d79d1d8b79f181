"""Events in every form, as their senders document and send them; names are made up.

Each is (headers, body, addresses). Sources of the forms: AWS "notification-content-structure" and
EventBridge "object-created"; MinIO and Ceph bucket notifications; Google "pubsub-notifications"
and Eventarc; Azure "event-schema-blob-storage" and "cloud-event-schema"; Copernicus Data Space
"Subscriptions"; the wiki of the Level-1C archive on AWS; CloudEvents 1.0 HTTP binding.
"""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote_plus

NAME = "S2A_MSIL1C_20250615T101559_N0511_R022_T32TQM_20250615T121559"
SAFE = f"Sentinel-2/MSI/L1C/2025/06/15/{NAME}.SAFE"
MANIFEST = f"{SAFE}/manifest.safe"
TILE = "tiles/32/T/QM/2025/6/15/0"
JSON = {"Content-Type": "application/json"}

Sample = tuple[dict[str, str], bytes, list[str]]


def record(key: str, name: str = "ObjectCreated:Put", **more: Any) -> dict[str, Any]:
    """Record of S3, its key encoded as in a form."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-central-1",
        "eventTime": "2025-06-15T12:40:00.000Z",
        "eventName": name,
        "userIdentity": {"principalId": "AWS:AIDAEXAMPLE"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "new-products",
            "bucket": {"name": "l1c", "arn": "arn:aws:s3:::l1c"},
            "object": {
                "key": quote_plus(key, safe="/"),
                "size": 1024,
                "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                "sequencer": "0055AED6DCD90281E5",
            },
        },
        **more,
    }


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


EVENT_BRIDGE = {
    "version": "0",
    "id": "17793124-05d4-b198-2fde-7ededc63b103",
    "detail-type": "Object Created",
    "source": "aws.s3",
    "account": "111122223333",
    "time": "2025-06-15T12:40:00Z",
    "region": "eu-central-1",
    "resources": ["arn:aws:s3:::l1c"],
    "detail": {
        "version": "0",
        "bucket": {"name": "l1c"},
        "object": {"key": MANIFEST, "size": 5, "etag": "b1946ac9", "sequencer": "00617F08"},
        "request-id": "N4N7GDK58NMKJ12R",
        "requester": "123456789012",
        "reason": "PutObject",
    },
}
GOOGLE_OBJECT = {
    "kind": "storage#object",
    "id": f"l1c/{MANIFEST}/1718451600000000",
    "name": MANIFEST,
    "bucket": "l1c",
    "generation": "1718451600000000",
    "size": "1024",
}
PUB_SUB = {
    "message": {
        "attributes": {
            "bucketId": "l1c",
            "eventType": "OBJECT_FINALIZE",
            "objectId": MANIFEST,
            "objectGeneration": "1718451600000000",
            "payloadFormat": "JSON_API_V1",
            "notificationConfig": "projects/_/buckets/l1c/notificationConfigs/1",
        },
        "data": base64.b64encode(_json(GOOGLE_OBJECT)).decode(),
        "messageId": "2070443601311540",
        "publishTime": "2025-06-15T12:40:00.123Z",
    },
    "subscription": "projects/p/subscriptions/s2cloud",
}
EVENT_GRID = {
    "topic": "/subscriptions/1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/acc",
    "subject": f"/blobServices/default/containers/l1c/blobs/{MANIFEST}",
    "eventType": "Microsoft.Storage.BlobCreated",
    "eventTime": "2025-06-15T12:40:00.1840000Z",
    "id": "831e1650-001e-001b-66ab-eeb76e069631",
    "data": {
        "api": "PutBlockList",
        "contentType": "application/octet-stream",
        "contentLength": 524288,
        "blobType": "BlockBlob",
        "url": f"https://acc.blob.core.windows.net/l1c/{MANIFEST}",
        "sequencer": "00000000000004420000000000028963",
    },
    "dataVersion": "",
    "metadataVersion": "1",
}
GRID_VALIDATION = [
    {
        "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
        "topic": "/subscriptions/1",
        "subject": "",
        "data": {
            "validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6",
            "validationUrl": "https://rp-eastus2.eventgrid.azure.net/validate?id=1",
        },
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": "2025-06-15T12:40:00Z",
        "metadataVersion": "1",
        "dataVersion": "1",
    }
]
DATA_SPACE = {
    "@odata.context": "$metadata#Notification/$entity",
    "SubscriptionEvent": "created",
    "ProductId": "5e7b1b1c-1111-4c5b-9d1c-1f2a3b4c5d6e",
    "ProductName": f"{NAME}.SAFE",
    "SubscriptionId": "0f1e2d3c-2222-4c5b-9d1c-1f2a3b4c5d6e",
    "NotificationDate": "2025-06-15T12:41:00.000Z",
    "AckId": "MTpvbmU=",
    "value": {
        "Id": "5e7b1b1c-1111-4c5b-9d1c-1f2a3b4c5d6e",
        "Name": f"{NAME}.SAFE",
        "ContentLength": 800000000,
        "S3Path": f"/eodata/{SAFE}",
    },
}
ARCHIVE = {
    "name": NAME,
    "id": "5e7b1b1c-1111-4c5b-9d1c-1f2a3b4c5d6e",
    "path": f"products/2025/6/15/{NAME}",
    "timestamp": "2025-06-15T10:15:59.024Z",
    "datatakeIdentifier": "GS2A_20250615T101559_052071_N05.11",
    "sciHubIngestion": "2025-06-15T12:30:00.000Z",
    "s3Ingestion": "2025-06-15T12:40:00.000Z",
    "tiles": [
        {
            "path": TILE,
            "timestamp": "2025-06-15T10:20:00.000Z",
            "utmZone": 32,
            "latitudeBand": "T",
            "gridSquare": "QM",
            "datastrip": {"id": "S2A_OPER_MSI_L1C_DS", "path": f"products/2025/6/15/{NAME}/ds/0"},
        }
    ],
    "datastrips": [{"id": "S2A_OPER_MSI_L1C_DS", "path": f"products/2025/6/15/{NAME}/ds/0"}],
}
ITEM: dict[str, Any] = {
    "type": "Feature",
    "stac_version": "1.1.0",
    "id": NAME,
    "geometry": None,
    "properties": {"datetime": "2025-06-15T10:15:59Z"},
    "links": [],
    "assets": {
        "product_metadata": {
            "href": f"s3://eodata/{SAFE}/MTD_MSIL1C.xml",
            "type": "application/xml",
        },
    },
}


def sns(message: Any) -> dict[str, Any]:
    """Envelope of SNS around a message, which is text in it."""
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:eu-west-1:214830741341:NewSentinel2Product",
        "Subject": "Amazon S3 Notification",
        "Message": json.dumps(message),
        "Timestamp": "2025-06-15T12:40:00.000Z",
        "SignatureVersion": "1",
        "Signature": "EXAMPLE",
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService.pem",
    }


def cloud_event(kind: str, data: Any, **more: Any) -> dict[str, Any]:
    """CloudEvent in structured mode."""
    return {
        "specversion": "1.0",
        "type": kind,
        "source": "//storage/l1c",
        "id": "A234-1234-1234",
        "time": "2025-06-15T12:40:00Z",
        "datacontenttype": "application/json",
        "data": data,
        **more,
    }


def _binary(kind: str, **more: str) -> dict[str, str]:
    return {
        **JSON,
        "ce-specversion": "1.0",
        "ce-type": kind,
        "ce-source": "//storage/l1c",
        "ce-id": "A234-1234-1234",
        **more,
    }


_STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
_BATCH = {"Content-Type": "application/cloudevents-batch+json"}
_S3 = [f"s3://l1c/{MANIFEST}"]
_GS = [f"gs://l1c/{MANIFEST}"]
_AZURE = [f"abfs://l1c/{MANIFEST}"]
_RECORDS = {"Records": [record(MANIFEST)]}
_FINALIZED = "google.cloud.storage.object.v1.finalized"
_BLOB = "Microsoft.Storage.BlobCreated"

SAMPLES: dict[str, Sample] = {
    "s3": (JSON, _json(_RECORDS), _S3),
    "s3, blanks in the key": (
        JSON,
        _json({"Records": [record(f"new products+/{NAME}.SAFE/manifest.safe")]}),
        [f"s3://l1c/new products+/{NAME}.SAFE/manifest.safe"],
    ),
    "s3, two records and a deletion": (
        JSON,
        _json(
            {
                "Records": [
                    record(MANIFEST, "ObjectCreated:CompleteMultipartUpload"),
                    record(MANIFEST, "ObjectRemoved:Delete"),
                    record(f"{SAFE}/MTD_MSIL1C.xml", "ObjectCreated:Copy"),
                ]
            }
        ),
        [*_S3, f"s3://l1c/{SAFE}/MTD_MSIL1C.xml"],
    ),
    "s3, test event": (
        JSON,
        _json({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "l1c"}),
        [],
    ),
    "minio": (
        JSON,
        _json(
            {
                "EventName": "s3:ObjectCreated:Put",
                "Key": f"l1c/{MANIFEST}",
                "Records": [
                    record(
                        MANIFEST,
                        "s3:ObjectCreated:Put",
                        eventVersion="2.0",
                        eventSource="minio:s3",
                        source={"host": "127.0.0.1", "userAgent": "MinIO (linux; amd64)"},
                    )
                ],
            }
        ),
        _S3,
    ),
    "ceph": (
        JSON,
        _json(
            {
                "Records": [
                    record(
                        MANIFEST,
                        "ObjectCreated:Put",
                        eventVersion="2.2",
                        eventSource="ceph:s3",
                        eventId="1718451600.123.abc",
                        opaqueData="",
                    )
                ]
            }
        ),
        _S3,
    ),
    "sns around s3": ({"Content-Type": "text/plain; charset=UTF-8"}, _json(sns(_RECORDS)), _S3),
    "sns of the archive on aws": (
        JSON,
        _json(sns(ARCHIVE)),
        [f"s3://sentinel-s2-l1c/{TILE}/"],
    ),
    "archive on aws, raw": (JSON, _json(ARCHIVE), [f"s3://sentinel-s2-l1c/{TILE}/"]),
    "event bridge": (JSON, _json(EVENT_BRIDGE), _S3),
    "event bridge, other": (
        JSON,
        _json(EVENT_BRIDGE | {"detail-type": "Object Deleted"}),
        [],
    ),
    "pub/sub push": (JSON, _json(PUB_SUB), _GS),
    "pub/sub push without attributes": (
        JSON,
        _json({"message": {"data": PUB_SUB["message"]["data"]}, "subscription": "s"}),  # type: ignore[index]
        _GS,
    ),
    "eventarc, binary": (
        _binary(_FINALIZED, **{"ce-subject": f"objects/{MANIFEST}"}),
        _json(GOOGLE_OBJECT),
        _GS,
    ),
    "eventarc, structured": (_STRUCTURED, _json(cloud_event(_FINALIZED, GOOGLE_OBJECT)), _GS),
    "event grid": (JSON, _json([EVENT_GRID]), _AZURE),
    "event grid, file opened only": (
        JSON,
        _json([EVENT_GRID | {"data": {"api": "CreateFile"}}]),
        [],
    ),
    "event grid, cloudevents": (
        _STRUCTURED,
        _json(cloud_event(_BLOB, EVENT_GRID["data"], subject=EVENT_GRID["subject"])),
        _AZURE,
    ),
    "knative": (
        _STRUCTURED,
        _json(cloud_event("com.amazonaws.s3.ObjectCreated:Put", record(MANIFEST)["s3"] | {})),
        _S3,
    ),
    "aws, cloudevents": (
        _STRUCTURED,
        _json(cloud_event("aws.s3.object.created", EVENT_BRIDGE["detail"])),
        _S3,
    ),
    "batch": (
        _BATCH,
        _json([cloud_event(_FINALIZED, GOOGLE_OBJECT), cloud_event("some.other", {"a": 1})]),
        _GS,
    ),
    "data_base64": (
        _STRUCTURED,
        _json(
            {
                **{k: v for k, v in cloud_event(_FINALIZED, None).items() if k != "data"},
                "data_base64": base64.b64encode(_json(GOOGLE_OBJECT)).decode(),
            }
        ),
        _GS,
    ),
    "ours": (
        _STRUCTURED,
        _json(cloud_event("io.s2cloud.l1c.ready", {"url": f"s3://l1c/{SAFE}"})),
        [f"s3://l1c/{SAFE}"],
    ),
    "data space": (JSON, _json(DATA_SPACE), [f"s3://eodata/{SAFE}/"]),
    "data space, stripped": (
        JSON,
        _json({k: v for k, v in DATA_SPACE.items() if k != "value"}),
        [f"s3://eodata/{SAFE}/"],
    ),
    "data space, deleted": (JSON, _json(DATA_SPACE | {"SubscriptionEvent": "deleted"}), []),
    "stac item": (JSON, _json(sns(ITEM)), [f"s3://eodata/{SAFE}"]),
}
