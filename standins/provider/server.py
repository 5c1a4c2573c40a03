"""The provider's service: from gRPC to the operations and back."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import grpc
from google.protobuf import any_pb2, empty_pb2

from standins.protocol import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2
from standins.provider.asked import Asked, Failed
from standins.provider.check import Naming, Unsupported, checked, refuse_unsupported
from standins.provider.cluster import Cluster, connect
from standins.provider.compare import compared
from standins.provider.config import config_changes, config_problems
from standins.provider.create import create
from standins.provider.delete import delete
from standins.provider.diff import Change, Kind
from standins.provider.engine_log import EngineLog, Log
from standins.provider.errors import NoMatch, Partial, StatusError, Unreachable
from standins.provider.names import NamingOff
from standins.provider.read import read
from standins.provider.update import update
from standins.provider.values import decode, encode
from standins.serving import announced, engine_address, serve

__all__ = ["Provider", "run"]

NOTICE = "pulumi-resource-kubernetes: a stand-in for Pulumi's Kubernetes provider, which is not installed here"
_EXPECTED = (Failed, NamingOff, NoMatch, StatusError, Unreachable, Unsupported)
_DELETE_HINT = (
    "If the cluster was deleted, you can remove this resource from Pulumi state by rerunning the operation with the "
    'PULUMI_K8S_DELETE_UNREACHABLE environment variable set to "true"'
)
_KINDS = {
    (Kind.ADD, False): "ADD",
    (Kind.ADD, True): "ADD_REPLACE",
    (Kind.DELETE, False): "DELETE",
    (Kind.DELETE, True): "DELETE_REPLACE",
    (Kind.UPDATE, False): "UPDATE",
    (Kind.UPDATE, True): "UPDATE_REPLACE",
}


def _answering(method: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """Turns what an operation raises into the errors that the engine knows."""

    @functools.wraps(method)
    def answer(self: Any, request: Any, context: Any) -> Any:
        try:
            return method(self, request, context)
        except Partial as error:
            context.set_trailing_metadata((("grpc-status-details-bin", _details(error)),))
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        except _EXPECTED as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        except grpc.RpcError:
            raise
        except Exception as error:
            if context.code() is not None:  # abort() itself raises
                raise
            traceback.print_exc()
            context.abort(grpc.StatusCode.UNKNOWN, f"stand-in provider: {type(error).__name__}: {error}")

    return answer


def _details(error: Partial) -> bytes:
    failed = provider_pb2.ErrorResourceInitFailed(
        id=error.identifier,
        properties=encode(error.state),
        reasons=error.reasons,
        inputs=encode(error.inputs) if error.inputs is not None else None,
    )
    packed = any_pb2.Any()
    packed.Pack(failed)
    code: int = grpc.StatusCode.UNKNOWN.value[0]
    status: bytes = status_pb2.Status(code=code, message=str(error), details=[packed]).SerializeToString()
    return status


def _sdk_version() -> str:
    try:
        return version("pulumi_kubernetes")
    except PackageNotFoundError:
        return "0.0.0"


def _token(urn: str) -> str:
    """The type of a URN, without its parents' types."""
    return urn.split("::")[2].rpartition("$")[2]


class Provider(provider_pb2_grpc.ResourceProviderServicer):  # type: ignore[misc]
    """Answers for one provider resource of one program."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._cluster: Cluster | None = None

    @property
    def cluster(self) -> Cluster:
        """The cluster; operations come after Configure."""
        if self._cluster is None:
            raise Failed("the provider has not been configured")
        return self._cluster

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The version of the SDK beside it, which the engine wants at least, marked as a stand-in's."""
        return plugin_pb2.PluginInfo(version=f"{_sdk_version()}+standin")

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Ends every wait."""
        if self._cluster is not None:
            self._cluster.canceller.cancel()
        return empty_pb2.Empty()

    @_answering
    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refuses what the stand-in can't do."""
        failures = [
            provider_pb2.CheckFailure(property=name, reason=reason)
            for name, reason in config_problems(decode(request.news))
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    @_answering
    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Whether changed settings replace the provider."""
        diffs, replaces = config_changes(decode(request.olds), decode(request.news))
        kind = provider_pb2.DiffResponse.DIFF_SOME if diffs else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=kind, diffs=diffs, replaces=replaces)

    @_answering
    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Connects."""
        if not announced():
            self._log.say("", "info", NOTICE)
        self._cluster = connect(dict(request.variables), self._log)
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    @_answering
    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The inputs to keep."""
        cluster = self.cluster
        refuse_unsupported(_token(request.urn))
        if cluster.connected is None and cluster.settings.skip_update_unreachable:
            self._log.say(
                request.urn,
                "warning",
                "Cluster is unreachable but skipUpdateUnreachable flag is set to true, skipping...",
            )
            return provider_pb2.CheckResponse(inputs=request.olds)
        naming = Naming(
            resource=request.urn.split("::", 3)[3],
            seed=request.randomSeed,
            proposed=request.autonaming.proposed_name if request.HasField("autonaming") else "",
            disabled=request.HasField("autonaming")
            and request.autonaming.mode == provider_pb2.CheckRequest.AutonamingOptions.DISABLE,
        )
        inputs = checked(cluster, naming, decode(request.olds), decode(request.news), request.urn)
        return provider_pb2.CheckResponse(inputs=encode(inputs))

    @_answering
    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        """What changed."""
        verdict = compared(
            self.cluster, decode(request.olds), decode(request.news), list(request.ignoreChanges), request.urn
        )
        response = provider_pb2.DiffResponse
        return response(
            changes=response.DIFF_SOME if verdict.changes or verdict.replaces else response.DIFF_NONE,
            replaces=verdict.replaces,
            deleteBeforeReplace=verdict.delete_first,
            detailedDiff={text: _property_diff(change, replacing) for text, change, replacing in verdict.changes},
            hasDetailedDiff=True,
        )

    @_answering
    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Makes an object."""
        asked = Asked(request.urn, request.timeout, request.preview)
        identifier, state = create(self.cluster, asked, decode(request.properties))
        return provider_pb2.CreateResponse(id=identifier, properties=encode(state))

    @_answering
    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Changes an object."""
        asked = Asked(request.urn, request.timeout, request.preview)
        state = update(self.cluster, asked, decode(request.olds), decode(request.news), list(request.ignoreChanges))
        return provider_pb2.UpdateResponse(properties=encode(state))

    @_answering
    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Finds an object as it is now."""
        cluster = self.cluster
        if cluster.connected is None:
            return self._read_unreachable(request)
        module, kind = _token(request.urn).split(":")[1:]
        api_version = module.removeprefix("core/")
        found = read(
            cluster,
            Asked(request.urn),
            request.id,
            (api_version, kind),
            decode(request.properties),
            decode(request.inputs),
        )
        if found is None:
            return provider_pb2.ReadResponse()
        identifier, state, inputs = found
        return provider_pb2.ReadResponse(id=identifier, properties=encode(state), inputs=encode(inputs))

    @_answering
    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Deletes an object."""
        cluster = self.cluster
        if cluster.connected is None:
            self._say_unreachable(request.urn)
            if not cluster.settings.delete_unreachable:
                raise Failed(f"configured Kubernetes cluster is unreachable. {_DELETE_HINT}")
            return empty_pb2.Empty()
        delete(cluster, Asked(request.urn, request.timeout), decode(request.properties))
        return empty_pb2.Empty()

    def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: N802
        """No schema: programs in Python need none to run."""
        text = "the stand-in provider has no schema, which only generating code needs (--generate-code=false)"
        context.abort(grpc.StatusCode.UNIMPLEMENTED, text)

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        """No functions."""
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{request.tok} is not supported by the stand-in provider")

    def Construct(self, request: Any, context: Any) -> Any:  # noqa: N802
        """No components (YAML, Helm, Kustomize)."""
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{request.type} is not supported by the stand-in provider")

    def _say_unreachable(self, urn: str) -> None:
        reason = self.cluster.unreachable
        self._log.say(urn, "warning", f"configured Kubernetes cluster is unreachable: {reason}")
        if self.cluster.settings.delete_unreachable:
            self._log.say(
                urn,
                "info",
                "configured Kubernetes cluster is unreachable and the `deleteUnreachable` option is enabled. "
                "Deleting the unreachable resource from Pulumi state",
            )

    def _read_unreachable(self, request: Any) -> Any:
        self._say_unreachable(request.urn)
        if self.cluster.settings.delete_unreachable:
            return provider_pb2.ReadResponse()
        if self.cluster.settings.skip_update_unreachable:
            return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)
        raise Failed(f"failed to read resource state due to unreachable cluster. {_DELETE_HINT}")


def _property_diff(change: Change, replacing: bool) -> Any:
    kind = getattr(provider_pb2.PropertyDiff, _KINDS[change.kind, replacing])
    return provider_pb2.PropertyDiff(kind=kind, inputDiff=change.kind is Kind.DELETE)


def run(arguments: Sequence[str]) -> None:
    """The plugin's main: serves until the CLI ends."""
    provider = Provider(EngineLog(engine_address(arguments)))
    serve(lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server))
