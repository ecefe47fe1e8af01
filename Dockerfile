# Airflow 2.11.0. This image installs packages.txt and requirements.txt and copies the project while ours is built.
FROM quay.io/astronomer/astro-runtime:13.4.0

# uv's cache, which has the prediction environments. docker-compose.override.yml keeps this folder on a volume, which gets
# the folder's owner: the user of the tasks, who is also the user here.
ENV UV_CACHE_DIR=/usr/local/airflow/.cache/uv
RUN mkdir -p /usr/local/airflow/.cache
