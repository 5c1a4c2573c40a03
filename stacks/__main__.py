"""The program of every stack: config in, one builder out."""

import pulumi
from buildkit_builders import Builder
from buildkit_builders.config import builder_args, has_secret_options

args = builder_args()
builder = Builder(str(args.get("name") or "kube"), args, where="builder:", secret=has_secret_options())
pulumi.export("builder", builder.output)
