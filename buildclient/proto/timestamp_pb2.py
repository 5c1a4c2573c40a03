# Made by protoc and lighten.py. DO NOT EDIT!
from buildclient.proto.loading import load as _load

DESCRIPTOR = _load(b'\n!buildclient/proto/timestamp.proto\x12\x15\x62uildclient.timestamp\"+\n\tTimestamp\x12\x0f\n\x07seconds\x18\x01 \x01(\x03\x12\r\n\x05nanos\x18\x02 \x01(\x05\x62\x06proto3', 'buildclient.proto.timestamp_pb2', globals())
