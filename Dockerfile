# pykbroker as a container, in place of apache/kafka and confluentinc/cp-kafka: docs/container.md.
# For several architectures: docker buildx build --platform linux/amd64,linux/arm64 .
ARG PYTHON=python:3.13-slim

FROM ${PYTHON} AS files
COPY . /src
RUN /src/docker/install.sh /image \
    && pip install --no-cache-dir --no-compile --require-hashes --only-binary :all: \
       --target /image/opt/pykbroker/lib -r /src/requirements/image.txt \
    && python -m compileall -q --invalidation-mode unchecked-hash /image/opt/pykbroker/lib

FROM ${PYTHON}
RUN useradd --create-home --uid 1000 --shell /bin/bash appuser
COPY --from=files /image /
ENV PATH=/opt/pykbroker/bin:/opt/kafka/bin:$PATH
USER appuser
WORKDIR /home/appuser
EXPOSE 9092
VOLUME ["/var/lib/kafka/data", "/etc/kafka/secrets", "/mnt/shared/config"]
# One interval from the first moment: not every builder and engine knows --start-interval.
HEALTHCHECK --interval=2s --timeout=5s --retries=15 CMD ["pykbroker-health"]
CMD ["/etc/kafka/docker/run"]
