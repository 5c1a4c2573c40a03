"""The program of every stack: config in, one builder out."""

import pulumi
from buildkit_builders import Builder
from buildkit_builders.config import builder_args

args = builder_args()
builder = Builder(str(args.get("name") or "kube"), args, where="builder:")
pulumi.export("builder", builder.output)
