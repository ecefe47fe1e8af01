"""What Airflow needs: what the DAGs have in common, and what one hands to the next."""
