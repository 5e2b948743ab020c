import struct, sys, faulthandler
from aiokafka.record import default_records as d
from aiokafka.record.util import calc_crc32c
from aiokafka.protocol.produce import ProduceRequest_v3
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from tests.faults.raw import ask

def test_probe(cluster, unique):
    servers = cluster.bootstrap_servers
    from tests.cluster import create_topic; create_topic(servers, unique)
    b = d.DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1<<20)
    b.append(0, 1000, b"k0", b"v0", [("ok", b"1")])
    b.append(1, 1001, b"k1", b"v1", [("first", b"1"), ("zz", b"1"), ("q", None)])
    b.append(2, 1002, b"k2", b"v2", [("ok", b"1")])
    raw = bytearray(bytes(b.build()).replace(b"\x04zz", b"\x04\xff\xfe"))
    struct.pack_into(">I", raw, d.DefaultRecordBase.CRC_OFFSET, calc_crc32c(bytes(raw[d.DefaultRecordBase.ATTRIBUTES_OFFSET:])))
    answer = ask(servers, ProduceRequest_v3(None, -1, 10000, [(unique, [(0, bytes(raw))])]))
    print(answer)
    c = Consumer({"bootstrap.servers": servers, "group.id": "x", "enable.auto.commit": False})
    c.assign([TopicPartition(unique, 0, 0)])
    found = []
    while len(found) < 3: found += c.consume(10, 1.0)
    for m in found:
        print(m.offset(), m.key(), flush=True)
        for _ in range(2):
            try: print(m.headers(), flush=True)
            except BaseException as e: print(repr(e), repr(e.__cause__), flush=True)
    c.close()
