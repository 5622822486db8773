# The part above the last FROM is the same in all three Dockerfiles, so their layers are built and stored once.
# The tag names the patch release; `docker buildx imagetools inspect` prints the digest to append when a mirror may move tags.
FROM python:3.11.14-slim-bookworm AS builder
COPY requirements.lock /requirements.lock
# Wheels only: nothing is compiled, so no compiler is ever installed. pip stays outside the environment it fills.
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-cache-dir --no-deps \
       --only-binary :all: --require-hashes --requirement /requirements.lock
# LightGBM looks for the system's OpenMP, which slim images lack; the wheel of scikit-learn brings the same library.
RUN mkdir /venv/openmp \
    && ln -s /venv/lib/python3.11/site-packages/scikit_learn.libs/libgomp-*.so.1.0.0 /venv/openmp/libgomp.so.1

FROM python:3.11.14-slim-bookworm AS runtime
# A fixed number, because Kubernetes' runAsNonRoot checks numbers and volumes keep them.
RUN groupadd --gid 10001 churn \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin churn \
    && mkdir -p /app/data \
    && chown churn:churn /app/data \
    && pip uninstall --yes --root-user-action ignore setuptools wheel pip
COPY --from=builder /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CHURN_API_HOST=0.0.0.0 \
    CHURN_METRICS_HOST=0.0.0.0
WORKDIR /app
COPY churn churn
COPY feature_repo feature_repo
COPY compose compose
VOLUME /app/data
USER 10001:10001
ENTRYPOINT ["python", "-m", "compose"]

FROM runtime AS ml
# Training, batch scoring and the MLflow server. The first two run to their end, so no HEALTHCHECK fits the image;
# docker-compose.yml gives the server its own.
COPY producers producers
COPY training training
ENV LD_LIBRARY_PATH=/venv/openmp
EXPOSE 5000
CMD ["train"]
