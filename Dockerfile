# Airflow 2.11.0. This image installs packages.txt and requirements.txt and copies the project while ours is built.
FROM quay.io/astronomer/astro-runtime:13.4.0

# uv's cache, which holds the environments for predicting. docker-compose.override.yml keeps this folder on a volume,
# which takes over its owner: the user of the tasks, who is the user here, too.
ENV UV_CACHE_DIR=/usr/local/airflow/.cache/uv
RUN mkdir -p /usr/local/airflow/.cache
