"""Makes the buttons on the pages of our tasks known to Airflow's webserver."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from include.operators.links import ExperimentLink, ObjectLink, RunLink, VersionLink


class UIButtons(AirflowPlugin):
    """Registers the buttons."""

    name = "ui_buttons"
    operator_extra_links = [RunLink(), ExperimentLink(), VersionLink(), ObjectLink()]
