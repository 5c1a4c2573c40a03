// A builder of two nodes in TypeScript: docs/other-languages.md. `pulumi package add ../../infra/plugin` makes the SDK.
import * as pulumi from "@pulumi/pulumi";
import { Builder } from "@buildkit-builders/builder";

const namespace = new pulumi.Config().get("namespace") ?? "buildkit";

const kube = new Builder("kube", {
    namespace,
    createNamespace: true,
    loadbalance: "sticky",
    driverOpts: { requestsCpu: "500m", requestsMemory: "1Gi", limitsMemory: "4Gi" },
    nodes: [
        {
            name: "builder-amd64",
            platforms: ["linux/amd64"],
            driverOpts: { replicas: 2, nodeselector: { "kubernetes.io/arch": "amd64" } },
        },
        {
            name: "builder-arm64",
            platforms: ["linux/arm64"],
            driverOpts: { nodeselector: { "kubernetes.io/arch": "arm64" } },
        },
    ],
});

export const builder = kube.output;
