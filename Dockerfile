# One image for the service, the scheduler, the workers and jobs, so that versions cannot differ.
#   docker build -t s2cloud .
# BASE is any Debian image with Python 3.11 or newer, for instance one of your own registry.
# `docker/check` builds it on a base made here, and tries it as a cluster would run it.
ARG BASE=python:3.12-slim-bookworm

FROM ${BASE} AS base
# GDAL as it comes with rasterio asks the system for this library; slim images have none.
RUN ldconfig -p | grep -q "libexpat\.so\.1 " \
 || { apt-get update -qq && apt-get install -y -qq --no-install-recommends libexpat1 \
      && rm -rf /var/lib/apt/lists/*; }

FROM base AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/s2cloud && /opt/s2cloud/bin/pip install --quiet --upgrade "pip>=25.1"
WORKDIR /src
# Dependencies first: they change less often than the code.
COPY docker/requirements.lock docker/
RUN /opt/s2cloud/bin/pip install --quiet --require-hashes --requirement docker/requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY s2cloud s2cloud
RUN /opt/s2cloud/bin/pip install --quiet --no-deps . \
 && { /opt/s2cloud/bin/python -m compileall -q /opt/s2cloud/lib > /dev/null || true; }
# Kernels are compiled here, once; the file system of the pod is read-only.
ENV NUMBA_CACHE_DIR=/opt/s2cloud/numba
RUN cd /tmp && /opt/s2cloud/bin/s2cloud simulate l1c --size 600 \
 && /opt/s2cloud/bin/s2cloud process l1c/*.SAFE l2a && rm -rf l1c l2a
# What is in the image, for those who scan it.
RUN python3 -m venv /tmp/sbom && /tmp/sbom/bin/pip install --quiet cyclonedx-bom==7.5.0 \
 && /tmp/sbom/bin/cyclonedx-py environment /opt/s2cloud/bin/python \
      --output-format JSON --output-file /opt/s2cloud/sbom.cdx.json

FROM base
LABEL org.opencontainers.image.title="s2cloud" \
      org.opencontainers.image.description="Sentinel-2 Level-1C to Level-2A" \
      org.opencontainers.image.licenses="Apache-2.0"
# A passwd entry: libraries ask for the name of the user.
RUN groupadd --gid 1000 s2cloud \
 && useradd --uid 1000 --gid 1000 --home-dir /home/s2cloud --create-home s2cloud
COPY --from=build /opt/s2cloud /opt/s2cloud
COPY docker/entrypoint docker/dask-scheduler docker/dask-worker /usr/local/bin/
ENV PATH=/opt/s2cloud/bin:$PATH \
    HOME=/tmp \
    NUMBA_CACHE_DIR=/tmp/numba \
    PYTHONUNBUFFERED=1 \
    MALLOC_TRIM_THRESHOLD_=65536
USER 1000:1000
WORKDIR /tmp
ENTRYPOINT ["entrypoint"]
CMD ["s2cloud", "--help"]
