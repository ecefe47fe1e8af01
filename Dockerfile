# Airflow 2.11.0. This image installs packages.txt and requirements.txt and copies the project while ours is built.
FROM quay.io/astronomer/astro-runtime:13.4.0

# The environments for predicting, and uv's cache beside them. docker-compose.override.yml keeps this folder on a volume,
# which takes over its owner: the user of the tasks, who is the user here, too.
ENV PREDICTION_ENVIRONMENTS=/usr/local/airflow/.cache/prediction-environments \
    UV_CACHE_DIR=/usr/local/airflow/.cache/uv
RUN mkdir -p /usr/local/airflow/.cache
