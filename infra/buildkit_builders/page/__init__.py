"""The page of all builders, behind `builders serve`: read-only, live, or as files for any web server.

`sources` finds the builders, in clusters and in a project's stacks; `look` asks one how it does, through the client's
Python API; `watch` keeps a `model.Snapshot` of all of them; `render` makes HTML of it, which `app` serves and `export`
writes. The extra `page` brings Starlette, uvicorn and Jinja2; `model`, `sources`, `look` and `watch` need none of them.
"""
