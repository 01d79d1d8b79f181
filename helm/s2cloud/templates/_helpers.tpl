{{/* Names and labels, the pod's common parts. */}}

{{- define "s2cloud.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "s2cloud.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "s2cloud.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "s2cloud.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "s2cloud.selector" -}}
app.kubernetes.io/name: {{ include "s2cloud.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "s2cloud.labels" -}}
{{ include "s2cloud.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "s2cloud.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}

{{- define "s2cloud.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "s2cloud.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Address of the scheduler, from inside the namespace. */}}
{{- define "s2cloud.scheduler" -}}
tcp://{{ include "s2cloud.dask" . }}-scheduler:8786
{{- end }}

{{- define "s2cloud.dask" -}}
{{ include "s2cloud.fullname" . }}-dask
{{- end }}

{{/* The settings file: `config` of the values with the cluster this chart installs. */}}
{{- define "s2cloud.settings" -}}
{{- $settings := deepCopy .Values.config }}
{{- if eq .Values.cluster.mode "none" }}
{{- $_ := set $settings "cluster" (dict "kind" "threads") }}
{{- else }}
{{- $_ := set $settings "cluster" (dict "kind" "address" "address" (include "s2cloud.scheduler" .)) }}
{{- end }}
{{- $http := get $settings "http" | default dict }}
{{- if .Values.webhook.existingSecret }}
{{- $_ := set $http "secret_file" "/etc/s2cloud/webhook/secret" }}
{{- end }}
{{- $_ := set $settings "http" $http }}
{{- toYaml $settings }}
{{- end }}

{{- define "s2cloud.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "s2cloud.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Environment of every container; give it root and the list of further variables. */}}
{{- define "s2cloud.env" -}}
- {name: MALLOC_TRIM_THRESHOLD_, value: "65536"}
- {name: DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES, value: {{ .root.Values.cluster.allowedFailures | quote }}}
{{- with .extra }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "s2cloud.envFrom" -}}
{{- with .Values.credentials.existingSecret }}
- secretRef: {name: {{ . | quote }}}
{{- end }}
{{- end }}

{{/* Where the pod of a role may run. */}}
{{- define "s2cloud.placement" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .topologySpreadConstraints }}
topologySpreadConstraints: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Pods of the scheduler and the workers: the same for plain Deployments and for the operator. */}}
{{- define "s2cloud.schedulerPod" -}}
serviceAccountName: {{ include "s2cloud.serviceAccount" . }}
automountServiceAccountToken: false
securityContext: {{- include "s2cloud.podSecurity" . | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "s2cloud.placement" .Values.cluster.scheduler }}
{{ . }}
{{- end }}
containers:
  - name: scheduler
    image: {{ include "s2cloud.image" . | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args: [dask, scheduler, --port, "8786", --dashboard-address, ":8787"]
    env:
      {{- include "s2cloud.env" (dict "root" . "extra" list) | nindent 6 }}
      # The autoscaler asks which workers may go over HTTP; off by default in distributed.
      - {name: DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES, value: "['distributed.http.scheduler.prometheus', 'distributed.http.scheduler.info', 'distributed.http.scheduler.json', 'distributed.http.health', 'distributed.http.proxy', 'distributed.http.scheduler.api']"}
    ports:
      - {name: tcp-comm, containerPort: 8786}
      - {name: http-dashboard, containerPort: 8787}
    readinessProbe:
      httpGet: {path: /health, port: http-dashboard}
      periodSeconds: 5
      failureThreshold: 24
    livenessProbe:
      httpGet: {path: /health, port: http-dashboard}
      initialDelaySeconds: 30
      periodSeconds: 20
      failureThreshold: 6
    resources: {{- toYaml .Values.cluster.scheduler.resources | nindent 6 }}
    securityContext: {{- include "s2cloud.containerSecurity" . | nindent 6 }}
    volumeMounts:
      - {name: scratch, mountPath: /tmp}
volumes:
  - name: scratch
    emptyDir: {sizeLimit: {{ .Values.scratch.sizeLimit }}}
{{- end }}

{{- define "s2cloud.workerPod" -}}
serviceAccountName: {{ include "s2cloud.serviceAccount" . }}
automountServiceAccountToken: false
securityContext: {{- include "s2cloud.podSecurity" . | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "s2cloud.placement" .Values.cluster.workers }}
{{ . }}
{{- end }}
terminationGracePeriodSeconds: {{ .Values.cluster.workers.terminationGracePeriodSeconds }}
containers:
  - name: worker
    image: {{ include "s2cloud.image" . | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args:
      - dask
      - worker
      {{- if eq .Values.cluster.mode "operator" }}
      # The operator sets DASK_WORKER_NAME and DASK_SCHEDULER_ADDRESS.
      - --name
      - $(DASK_WORKER_NAME)
      {{- else }}
      - {{ include "s2cloud.scheduler" . }}
      {{- end }}
      - --nthreads
      - {{ .Values.cluster.workers.threads | quote }}
      - --memory-limit
      - {{ dig "limits" "memory" "auto" .Values.cluster.workers.resources | replace "Gi" "GiB" | replace "Mi" "MiB" | quote }}
      - --local-directory
      - /tmp/dask
      - --dashboard
      - --dashboard-address
      - ":8788"
      - --no-nanny
      - --death-timeout
      - "120"
    env: {{- include "s2cloud.env" (dict "root" . "extra" .Values.cluster.workers.extraEnv) | nindent 6 }}
    {{- with include "s2cloud.envFrom" . }}
    envFrom: {{- . | nindent 6 }}
    {{- end }}
    ports:
      - {name: http-dashboard, containerPort: 8788}
    resources: {{- toYaml .Values.cluster.workers.resources | nindent 6 }}
    securityContext: {{- include "s2cloud.containerSecurity" . | nindent 6 }}
    volumeMounts:
      - {name: scratch, mountPath: /tmp}
volumes:
  - name: scratch
    emptyDir: {sizeLimit: {{ .Values.scratch.sizeLimit }}}
{{- end }}

{{/* Labels of the pods of a role: the operator gives its own. */}}
{{- define "s2cloud.schedulerMatch" -}}
{{- if eq .Values.cluster.mode "operator" -}}
dask.org/cluster-name: {{ include "s2cloud.dask" . }}
dask.org/component: scheduler
{{- else -}}
{{ include "s2cloud.selector" (dict "root" . "component" "scheduler") }}
{{- end }}
{{- end }}

{{- define "s2cloud.workerMatch" -}}
{{- if eq .Values.cluster.mode "operator" -}}
dask.org/cluster-name: {{ include "s2cloud.dask" . }}
dask.org/component: worker
{{- else -}}
{{ include "s2cloud.selector" (dict "root" . "component" "worker") }}
{{- end }}
{{- end }}
