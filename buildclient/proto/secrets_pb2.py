# Made by protoc and lighten.py. DO NOT EDIT!
from buildclient.proto.loading import load as _load

DESCRIPTOR = _load(b'\n\x1f\x62uildclient/proto/secrets.proto\x12\x13\x62uildclient.secrets\"\x1e\n\x10GetSecretRequest\x12\n\n\x02id\x18\x01 \x01(\x0c\"!\n\x11GetSecretResponse\x12\x0c\n\x04\x64\x61ta\x18\x01 \x01(\x0c\"\x1f\n\x11\x43heckAgentRequest\x12\n\n\x02id\x18\x01 \x01(\x0c\x62\x06proto3', 'buildclient.proto.secrets_pb2', globals())
