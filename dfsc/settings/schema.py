"""The configuration's description as a JSON schema, for editors that complete and check YAML:

python -m dfsc.settings.schema > workflow/schemas/config.schema.json
"""

import json

from dfsc.settings.configuration import Configuration


def schema_text() -> str:
    """The schema, closed as the description is, as indented JSON."""
    from pydantic import TypeAdapter

    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **TypeAdapter(Configuration).json_schema()}
    return json.dumps(schema, indent=2)


if __name__ == "__main__":
    print(schema_text())
