"""Stand-in for Pulumi's Kubernetes provider (v4, server-side apply)."""
