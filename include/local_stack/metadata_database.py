"""Migrates the metadata database and creates the user admin, in one process: Airflow takes seconds to start."""

from airflow.cli.cli_parser import get_parser

MIGRATE = ("db", "migrate")
CREATE_ADMIN = (
    *("users", "create", "--username", "admin", "--password", "admin", "--role", "Admin"),
    *("--email", "admin@example.com", "--firstname", "Ad", "--lastname", "Min"),
)

if __name__ == "__main__":
    parser = get_parser()
    for command in (MIGRATE, CREATE_ADMIN):
        arguments = parser.parse_args(command)
        arguments.func(arguments)
