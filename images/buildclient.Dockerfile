# The client as an image, which builders that scale to zero run (docs/scaling.md). `make image` builds it.
ARG PYTHON=docker.io/library/python:3.13-slim

FROM ${PYTHON} AS installed
COPY . /src
RUN pip install --no-cache-dir --no-compile --target /opt/buildclient /src

FROM ${PYTHON}
COPY --from=installed /opt/buildclient /opt/buildclient
ENV PYTHONPATH=/opt/buildclient PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["python3", "-m", "buildclient"]
