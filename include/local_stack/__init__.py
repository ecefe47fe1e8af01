"""The stack without Docker: PostgreSQL, an S3 store, MLflow and Airflow, all from PyPI, run by supervisord."""
