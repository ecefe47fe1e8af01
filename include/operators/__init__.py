"""The providers' operators, updated for today's Airflow and MLflow, and the buttons that tasks get."""
