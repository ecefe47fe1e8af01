"""What AIRFLOW__AWS__SESSION_FACTORY names: boto3 sessions that share what botocore has read from its files."""

from __future__ import annotations

import functools

import boto3
import botocore.session
from airflow.providers.amazon.aws.hooks.base_aws import BaseSessionFactory
from botocore.loaders import create_loader

shared_loader = functools.cache(create_loader)  # one for each place of descriptions, such as that of AWS_DATA_PATH


class SharedLoaderSessionFactory(BaseSessionFactory):
    """Creates sessions as the Amazon provider does, with one loader of botocore's descriptions of AWS's services.

    A session reads them from files for its first client, which takes 0.1 s of CPU time, and the provider creates a
    session for each client. With one loader, they are read once: in the scheduler, before it forks its tasks.
    """

    @functools.cached_property
    def basic_session(self) -> boto3.session.Session:
        """A session with the connection's credentials and region."""
        session = botocore.session.get_session()
        basic = boto3.session.Session(botocore_session=session, **self.conn.session_kwargs)
        session.register_component("data_loader", shared_loader(session.get_config_variable("data_path")))
        return basic
