"""What Airflow needs: what the DAGs have in common, and what one hands to the next."""

DAG_IDS = ("feature_eng", "train", "predict")  # here, where it is read without the configuration
