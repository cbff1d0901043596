"""Bags: round trips, independent readers, every kind of damage, clear errors."""

from __future__ import annotations

from pathlib import Path
import re
import shutil
import sqlite3
import struct
import sys
import time

import cv2
from mafs_model.bags.cdr import parse_image, serialize_image
from mafs_model.bags.reader import BagWriter, COMPRESSED_TYPE, IMAGE_TYPE, open_bag
from mafs_model.bags.ros1 import to_ros2
from mafs_model.errors import BagError, ConfigError, ImageError
from mafs_model.images.encodings import ImageBuffer
import numpy as np
import pytest
import yaml

rosbags = pytest.importorskip('rosbags.rosbag2')
from rosbags.typesys import get_typestore, Stores  # noqa: E402

MS = 1_000_000
START = 1_700_000_000 * 10**9
RGB, THERMAL = '/rgb/image_raw', '/thermal/image_raw'
TYPES = get_typestore(Stores.ROS2_HUMBLE)


def rgb(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def thermal(index: int) -> np.ndarray:
    return np.random.default_rng(1000 + index).integers(0, 2**16, (12, 16), dtype=np.uint16)


def write_bag(path: Path, count: int = 20, **options) -> Path:
    with BagWriter(path, **options) as bag:
        for index in range(count):
            stamp = START + index * 33 * MS
            bag.write_image(RGB, stamp, 'rgb', rgb(index), 'rgb8', stamp + 5 * MS)
            bag.write_image(
                THERMAL, stamp + MS, 'thermal', thermal(index), 'mono16', stamp + 9 * MS
            )
    return path


def write_with_rosbags(
    path: Path, storage: str, compression: str | None = None, count: int = 20
) -> Path:
    """Write the same bag by the library's own typed messages."""
    image_type = TYPES.types[IMAGE_TYPE]
    header_type, time_type = (
        TYPES.types['std_msgs/msg/Header'],
        TYPES.types['builtin_interfaces/msg/Time'],
    )
    writer = rosbags.Writer(path, version=9, storage_plugin=rosbags.StoragePlugin[storage])
    if compression:
        writer.set_compression(
            rosbags.CompressionMode[compression], rosbags.CompressionFormat.ZSTD
        )
    with writer:
        topics = {
            topic: writer.add_connection(topic, IMAGE_TYPE, typestore=TYPES)
            for topic in (RGB, THERMAL)
        }
        for index in range(count):
            for topic, image, encoding in [
                (RGB, rgb(index), 'rgb8'),
                (THERMAL, thermal(index), 'mono16'),
            ]:
                stamp = START + index * 33 * MS + (topic == THERMAL) * MS
                message = image_type(
                    header_type(time_type(stamp // 10**9, stamp % 10**9), topic[1:4]),
                    image.shape[0],
                    image.shape[1],
                    encoding,
                    0,
                    image[0].nbytes,
                    np.frombuffer(image.tobytes(), np.uint8),
                )
                writer.write(topics[topic], stamp, TYPES.serialize_cdr(message, IMAGE_TYPE))
    return path


def check_images(images: list, count: int = 20) -> None:
    """Exact content, in order."""
    for topic, make in ((RGB, rgb), (THERMAL, thermal)):
        got = [image for image in images if image.topic == topic]
        assert len(got) == count
        for index, image in enumerate(got):
            assert image.stamp_ns == START + index * 33 * MS + (topic == THERMAL) * MS
            assert np.array_equal(image.image, make(index))
            assert image.image.dtype == make(index).dtype
    assert [i.receive_ns for i in images] == sorted(i.receive_ns for i in images)


@pytest.mark.parametrize('compress', [False, True])
def test_written_bag_round_trips(tmp_path, compress):
    with open_bag(write_bag(tmp_path / 'bag', compress=compress)) as bag:
        assert {name: (t.type, t.count) for name, t in bag.topics.items()} == {
            RGB: (IMAGE_TYPE, 20),
            THERMAL: (IMAGE_TYPE, 20),
        }
        images = list(bag.images())
        check_images(images)
        assert {image.frame_id for image in images} == {'rgb', 'thermal'}
        assert bag.damage is None


def test_written_bag_is_read_by_the_typed_reader(tmp_path):
    """The hand-written serialisation against rosbags' generated one."""
    with rosbags.Reader(write_bag(tmp_path / 'bag')) as reader:
        index = 0
        for connection, _, data in reader.messages():
            message = TYPES.deserialize_cdr(data, connection.msgtype)
            if connection.topic == RGB:
                assert np.array_equal(message.data.reshape(24, 32, 3), rgb(index))
                assert (message.encoding, message.step, message.is_bigendian) == ('rgb8', 96, 0)
                stamp = message.header.stamp
                assert stamp.sec * 10**9 + stamp.nanosec == START + index * 33 * MS
                again = TYPES.serialize_cdr(message, IMAGE_TYPE)
                assert bytes(again) == bytes(data)
                index += 1


def test_metadata_is_what_ros2_bag_expects(tmp_path):
    path = write_bag(tmp_path / 'bag')
    information = yaml.safe_load((path / 'metadata.yaml').read_text())[
        'rosbag2_bagfile_information'
    ]
    assert information['storage_identifier'] == 'mcap'
    assert information['message_count'] == 40
    assert information['relative_file_paths'] == ['bag.mcap']
    for topic in information['topics_with_message_count']:
        profile = yaml.safe_load(topic['topic_metadata']['offered_qos_profiles'])
        assert isinstance(topic['topic_metadata']['offered_qos_profiles'], str)
        assert profile[0]['reliability'] == 1
    content = (path / 'bag.mcap').read_bytes()
    assert b'ros2msg' in content
    assert b'uint8[] data' in content, 'the definition travels with the bag'


@pytest.mark.parametrize('storage', ['SQLITE3', 'MCAP'])
@pytest.mark.parametrize('compression', [None, 'MESSAGE', 'FILE', 'STORAGE'])
def test_reads_bags_of_every_storage_and_compression(tmp_path, storage, compression):
    if storage == 'SQLITE3' and compression == 'STORAGE':
        pytest.skip('sqlite3 has no chunks')
    path = write_with_rosbags(tmp_path / 'bag', storage, compression)
    with open_bag(path) as bag:
        check_images(list(bag.images(RGB, THERMAL)))
        assert bag.damage is None


@pytest.mark.parametrize('storage', ['SQLITE3', 'MCAP'])
def test_reads_single_file_and_folder_without_metadata(tmp_path, storage):
    path = write_with_rosbags(tmp_path / 'bag', storage)
    (file,) = [name for name in path.iterdir() if name.suffix in ('.mcap', '.db3')]
    with open_bag(file) as bag:
        check_images(list(bag.images()))
    (path / 'metadata.yaml').unlink()
    with open_bag(path) as bag:
        check_images(list(bag.images()))
        assert bag.damage == 'metadata.yaml is missing'


@pytest.mark.parametrize('compression', [None, 'MESSAGE', 'STORAGE'])
@pytest.mark.parametrize('share', [0.35, 0.8, 0.999])
def test_truncated_mcap_gives_what_is_there(tmp_path, share, compression):
    path = write_with_rosbags(tmp_path / 'bag', 'MCAP', compression, count=600)
    file = path / 'bag.mcap'
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with open_bag(path) as bag:
        assert set(bag.topics) == {RGB, THERMAL}
        assert re.search('ends inside a record|footer|magic', bag.damage)
        images = list(bag.images())
        assert sum(topic.count for topic in bag.topics.values()) == len(images)
        expected = 1200 * share - (500 if share < 0.9 else 400)
        assert len(images) >= max(expected, 0)
        for index, image in enumerate(i for i in images if i.topic == RGB):
            assert np.array_equal(image.image, rgb(index))


def test_truncated_sqlite_gives_what_is_there(tmp_path):
    path = write_with_rosbags(tmp_path / 'bag', 'SQLITE3', count=600)
    file = path / 'bag.db3'
    data = file.read_bytes()
    file.write_bytes(data[: len(data) * 2 // 3])
    with open_bag(path) as bag:
        images = list(bag.images())
        assert len(images) > 700
        assert 'malformed' in bag.damage
        for index, image in enumerate(i for i in images if i.topic == RGB):
            assert np.array_equal(image.image, rgb(index))


def test_damaged_chunk_ends_reading_with_a_flag(tmp_path):
    path = write_bag(tmp_path / 'bag', 600)
    file = path / 'bag.mcap'
    data = bytearray(file.read_bytes())
    middle = data.index(b'rgb8', len(data) // 2) + 400
    data[middle - 600 : middle] = bytes(600)
    file.write_bytes(data)
    with open_bag(path) as bag:
        images = list(bag.images())
        usable = [image for image in images if not isinstance(image.image, ImageError)]
        assert bag.damage or len(usable) < 1200
        assert len(usable) >= 500


def test_messages_of_other_types_pass_raw(tmp_path):
    string = TYPES.types['std_msgs/msg/String']('hello')
    with BagWriter(tmp_path / 'bag') as bag:
        bag.write(
            '/note',
            'std_msgs/msg/String',
            START,
            bytes(TYPES.serialize_cdr(string, 'std_msgs/msg/String')),
        )
    with open_bag(tmp_path / 'bag') as bag:
        (message,) = bag.messages()
        assert (message.topic, message.type, message.receive_ns) == (
            '/note',
            'std_msgs/msg/String',
            START,
        )
        assert TYPES.deserialize_cdr(message.data, message.type).data == 'hello'
        with pytest.raises(BagError, match=r'has no image topics; topics there: /note'):
            list(bag.images())
        with pytest.raises(BagError, match=r'/note .* has type std_msgs/msg/String, expected'):
            bag.images('/note')


def test_own_message_types_travel_with_their_definition(tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        bag.register_type('my_msgs/msg/Item', 'uint8 id\nstring name\n')
        bag.register_type('my_msgs/msg/Items', 'std_msgs/Header header\nmy_msgs/Item[] items\n')
        bag.write('/items', 'my_msgs/msg/Items', START, b'\x00\x01\x00\x00' + bytes(20))
        with pytest.raises(BagError, match='message type my_msgs/msg/Other of topic /other'):
            bag.write('/other', 'my_msgs/msg/Other', START, b'')
        with pytest.raises(BagError, match='topic /items has type my_msgs/msg/Items, not'):
            bag.write('/items', 'my_msgs/msg/Item', START, b'')
    assert b'MSG: my_msgs/Item' in (tmp_path / 'bag' / 'bag.mcap').read_bytes()


def test_compressed_images(tmp_path):
    grey = (thermal(0) // 2 + 9000).astype(np.uint16)
    with BagWriter(tmp_path / 'bag') as bag:
        bag.write_compressed(
            '/t/compressed', START, 't', '16UC1; png compressed ', cv2.imencode('.png', grey)[1]
        )
        bag.write_compressed(
            '/v/compressed',
            START + 1,
            'v',
            'rgb8; jpeg compressed bgr8',
            cv2.imencode('.jpg', np.full((16, 16, 3), 90, np.uint8))[1],
        )
        bag.write_compressed('/v/compressed', START + 2, 'v', 'jpeg', b'\xff\xd8\xff')
    with open_bag(tmp_path / 'bag') as bag:
        first, second, third = bag.images()
        assert np.array_equal(first.image, grey)
        assert second.image.shape == (16, 16, 3)
        assert isinstance(third.image, ImageError)
        assert third.image.reason == 'decode'
        assert bag.topics['/t/compressed'].type == COMPRESSED_TYPE


def test_kinds_override_the_encoding(tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        bag.write_image('/colour', START, 'c', rgb(0), 'rgb8')
        bag.write_image('/grey', START + 1, 'g', rgb(0)[..., 0], 'mono8')
    with open_bag(tmp_path / 'bag') as bag:
        colour, grey = bag.images(kinds={'/colour': 'thermal', '/grey': 'visible'})
        assert colour.image.shape == (24, 32)
        assert grey.image.shape == (24, 32, 3)


@pytest.mark.parametrize('order', ['<', '>'])
def test_cdr_of_both_byte_orders(order):
    image = rgb(0)
    buffer = ImageBuffer(24, 32, 'rgb8', False, 96, image.tobytes())
    data = serialize_image(START + 7, 'camera', buffer)
    if order == '>':
        message = TYPES.deserialize_cdr(data, IMAGE_TYPE)
        data = bytes(TYPES.serialize_cdr(message, IMAGE_TYPE, little_endian=False))
    parsed = parse_image(IMAGE_TYPE, data)
    assert (parsed.stamp_ns, parsed.frame_id) == (START + 7, 'camera')
    assert bytes(parsed.content.data) == image.tobytes()


def test_every_truncated_message_is_refused():
    data = serialize_image(START, 'camera', ImageBuffer(4, 4, 'mono8', False, 4, bytes(16)))
    for length in range(len(data)):
        with pytest.raises(ImageError) as caught:
            parse_image(IMAGE_TYPE, data[:length])
        assert caught.value.reason == 'data'


def test_missing_topic_lists_what_is_there(tmp_path):
    with open_bag(write_bag(tmp_path / 'bag', 2)) as bag:
        text = re.escape(f'has no topic /nope; topics there: {RGB} ({IMAGE_TYPE}, 2), {THERMAL}')
        with pytest.raises(BagError, match=text):
            bag.images('/nope')
        with pytest.raises(BagError, match='has no topic /nope'):
            bag.messages('/nope')


def test_what_is_not_a_bag_is_named(tmp_path):
    with pytest.raises(BagError, match='does not exist'):
        open_bag(tmp_path / 'none')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(BagError, match=r'is not a rosbag2 bag'):
        open_bag(tmp_path / 'empty')
    for name, content in [
        ('a.mcap', b'noise' * 100),
        ('b.mcap', b''),
        ('c.db3', b'noise' * 999),
        ('d.txt', b'text'),
        ('e.bag', b'#ROSBAG V2.0\n'),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BagError) as caught:
            open_bag(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert '\n' not in str(caught.value)


def test_sqlite_without_tables(tmp_path):
    connection = sqlite3.connect(tmp_path / 'x.db3')
    connection.execute('CREATE TABLE other (id INTEGER)')
    connection.commit()
    connection.close()
    with pytest.raises(BagError, match='nothing can be read'):
        open_bag(tmp_path / 'x.db3')


def test_unknown_chunk_compression_is_named(tmp_path):
    path = write_bag(tmp_path / 'bag', compress=True)
    file = path / 'bag.mcap'
    file.write_bytes(file.read_bytes().replace(b'\x04\x00\x00\x00zstd', b'\x04\x00\x00\x00zs99'))
    (path / 'metadata.yaml').unlink()
    with pytest.raises(BagError, match="compressed with 'zs99', expected zstd or lz4"):
        open_bag(path)


def test_writer_never_removes_anything_but_a_bag(tmp_path):
    path = write_bag(tmp_path / 'bag', 2)
    with pytest.raises(BagError, match='exists already'):
        BagWriter(path)
    write_bag(path, 3, overwrite=True)
    with open_bag(path) as bag:
        assert bag.topics[RGB].count == 3
    (tmp_path / 'home').mkdir()
    (tmp_path / 'home' / 'thesis.txt').write_text('precious')
    with pytest.raises(BagError, match='is not a bag: not replaced'):
        BagWriter(tmp_path / 'home', overwrite=True)
    assert (tmp_path / 'home' / 'thesis.txt').read_text() == 'precious'


def test_failed_writing_leaves_nothing_behind(tmp_path):
    def power_cut() -> None:
        with BagWriter(tmp_path / 'bag') as bag:
            bag.write_image(RGB, START, 'rgb', rgb(0), 'rgb8')
            raise RuntimeError('power cut')

    with pytest.raises(RuntimeError, match='power cut'):
        power_cut()
    assert not (tmp_path / 'bag').exists()


def test_rosbags_missing_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'rosbags.rosbag2', None)
    (tmp_path / 'x.mcap').write_bytes(b'')
    with pytest.raises(BagError, match=r'install mafs_ros\[demo\].*rosbag2'):
        open_bag(tmp_path / 'x.mcap')
    shutil.rmtree(tmp_path / 'none', ignore_errors=True)


@pytest.mark.parametrize('cut', [0, 40_000])
def test_unfinished_mcap_with_lz4_chunks(tmp_path, cut):
    """As a recorder that was killed leaves it: no index, no end, the last chunk in part."""
    lz4 = pytest.importorskip('lz4.frame')
    source = (write_bag(tmp_path / 'bag', 600) / 'bag.mcap').read_bytes()
    rewritten, position = bytearray(source[:8]), 8
    while position < len(source) - 8:
        kind, length = struct.unpack_from('<BQ', source, position)
        body = source[position + 9 : position + 9 + length]
        position += 9 + length
        if kind == 0x0F:  # end of the data section
            break
        if kind == 0x06:  # chunk: times, size, checksum, compression, length, records
            packed = lz4.compress(body[40:])
            body = (
                body[:28] + struct.pack('<I', 3) + b'lz4' + struct.pack('<Q', len(packed)) + packed
            )
        rewritten += struct.pack('<BQ', kind, len(body)) + body
    path = tmp_path / 'cut.mcap'
    path.write_bytes(bytes(rewritten[: len(rewritten) - cut]))
    with open_bag(path) as bag:
        images = [image for image in bag.images() if image.topic == RGB]
        assert len(images) == 600 if not cut else 500 < len(images) < 600
        assert bag.damage
        for index, image in enumerate(images):
            assert np.array_equal(image.image, rgb(index))


def record(kind: int, body: bytes, length: int | None = None) -> bytes:
    return struct.pack('<BQ', kind, len(body) if length is None else length) + body


def chunk(content: bytes, compression: bytes = b'', length: int | None = None) -> bytes:
    length = len(content) if length is None else length
    head = bytes(28) + struct.pack('<I', len(compression)) + compression
    return head + struct.pack('<Q', length) + content


MCAP_MAGIC = b'\x89MCAP0\r\n'
MCAP_STREAM = (
    record(0x03, struct.pack('<HI', 1, 4) + b'Type' + bytes(8))
    + record(0x04, struct.pack('<HHI', 1, 1, 2) + b'/a' + bytes(8))
    + b''.join(
        record(0x05, struct.pack('<HIQQ', 1, 0, stamp, stamp) + bytes([stamp])) for stamp in (1, 2)
    )
)
HOSTILE_TAILS = {
    'cut in a head': b'\x06\x00',
    'record larger than any file': record(0x05, b'', 2**64 - 1),
    'attachment larger than any file': record(0x09, bytes(24) + b'\xff' * 8),
    'string larger than the file': record(0x03, struct.pack('<HI', 2, 2**32 - 1)),
    'message shorter than its head': record(0x05, bytes(22), 3),
    'text that is none': record(0x04, struct.pack('<HHI', 2, 1, 1) + b'\xff' + bytes(8)),
    'chunk that is no lz4': record(0x06, chunk(b'noise' * 9, b'lz4')),
    'chunk that is no zstd': record(0x06, chunk(b'noise' * 9, b'zstd')),
    'zeros, as a disk leaves them': bytes(4000),
}


@pytest.mark.parametrize('name', HOSTILE_TAILS)
def test_messages_before_hostile_bytes_of_an_mcap_are_kept(tmp_path, name):
    path = tmp_path / 'x.mcap'
    path.write_bytes(MCAP_MAGIC + record(0x01, bytes(8)) + MCAP_STREAM + HOSTILE_TAILS[name])
    with open_bag(path) as bag:
        assert [(m.topic, m.type, m.data) for m in bag.messages()] == [
            ('/a', 'Type', b'\1'), ('/a', 'Type', b'\2'),
        ]  # fmt: skip
        assert bag.damage
        assert '\n' not in bag.damage


def test_damaged_records_of_an_mcap_are_passed_over(tmp_path):
    """What a recorder adds, and chunks that a disk has damaged, do not hide what follows."""
    damaged = (
        record(0x01, b'\xff' * 20)
        + record(0x06, chunk(b'noise' * 9, b'zstd'))
        + record(0x09, b'\xff' * 50)
    )
    path = tmp_path / 'x.mcap'
    path.write_bytes(MCAP_MAGIC + damaged + MCAP_STREAM)
    with open_bag(path) as bag:
        assert len(list(bag.messages())) == 2
        assert bag.damage


def test_nothing_but_damaged_records_takes_no_time(tmp_path):
    asking_for_all = record(0x03, struct.pack('<HI', 2, 2**32 - 1))
    path = tmp_path / 'x.mcap'
    path.write_bytes(MCAP_MAGIC + MCAP_STREAM + asking_for_all * 400_000)
    begin = time.process_time()
    with open_bag(path) as bag:
        assert len(list(bag.messages())) == 2
    assert time.process_time() - begin < 5, 'each record is read to the end of the file'


@pytest.mark.parametrize('cut', [3, 40])
@pytest.mark.parametrize('length', [None, 2**40])
def test_last_chunk_of_an_mcap_is_read_as_far_as_it_goes(tmp_path, cut, length):
    """A short recording is one chunk; the library alone would give nothing of it."""
    content = record(0x06, chunk(MCAP_STREAM, length=length), length)[:-cut]
    path = tmp_path / 'x.mcap'
    path.write_bytes(MCAP_MAGIC + record(0x01, bytes(8)) + content)
    with open_bag(path) as bag:
        assert [message.data for message in bag.messages()] == ([b'\1'] if cut == 3 else [])
        assert bag.topics['/a'].count == (cut == 3)


def test_chunks_in_chunks_are_not_opened(tmp_path):
    content = MCAP_STREAM
    for _ in range(3000):
        content = record(0x06, chunk(content))
    path = tmp_path / 'x.mcap'
    path.write_bytes(MCAP_MAGIC + record(0x01, bytes(8)) + content)
    with pytest.raises(BagError, match='nothing can be read'):
        open_bag(path)


def test_chunk_that_grows_without_end_is_bounded(tmp_path, monkeypatch):
    lz4 = pytest.importorskip('lz4.frame')
    monkeypatch.setattr('mafs_model.bags.mcap_salvage._LARGEST', 5000)
    path = tmp_path / 'x.mcap'
    bomb = record(0x06, chunk(lz4.compress(MCAP_STREAM + bytes(10**6)), b'lz4'))
    path.write_bytes(MCAP_MAGIC + record(0x01, bytes(8)) + bomb)
    with open_bag(path) as bag:
        assert len(list(bag.messages())) == 2


def test_mcap_missing_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'mcap.data_stream', None)
    monkeypatch.delitem(sys.modules, 'mafs_model.bags.mcap_salvage', raising=False)
    path = tmp_path / 'x.mcap'
    path.write_bytes(MCAP_MAGIC + record(0x01, bytes(8)) + MCAP_STREAM)
    with pytest.raises(BagError, match=r'install mafs_ros\[demo\]'):
        open_bag(path)


def test_thermal_frames_of_a_bag_are_decoded_as_the_camera_means_them(tmp_path):
    picture = np.tile(np.arange(29_000, 29_160, dtype=np.uint16), (120, 1))
    telemetry = np.full((2, 160), 65_535, np.uint16)
    with BagWriter(tmp_path / 'bag') as bag:
        frame = np.vstack([picture, telemetry])
        bag.write_image(THERMAL, START, 'thermal', frame, 'mono16', START)
    path = tmp_path / 'bag'
    with open_bag(path) as bag:
        (found,) = bag.images(kinds={THERMAL: 'thermal'})
    assert np.array_equal(found.image, picture)
    own = tmp_path / 'own.yaml'
    own.write_text('rotation: 180')
    with open_bag(path, str(own)) as bag:
        (turned,) = bag.images(kinds={THERMAL: 'thermal'})
    assert np.array_equal(turned.image, frame[::-1, ::-1])
    with pytest.raises(ConfigError, match="camera 'kodak': expected auto"):
        open_bag(path, 'kodak')


def write_ros1(path, count=5):
    """Write a bag of ROS 1 by the library's own writer and types."""
    from rosbags.rosbag1 import Writer

    store = get_typestore(Stores.ROS1_NOETIC)
    types = store.types
    with Writer(path) as bag:
        raw = bag.add_connection(THERMAL, IMAGE_TYPE, typestore=store)
        packed = bag.add_connection(RGB, COMPRESSED_TYPE, typestore=store)
        text = bag.add_connection('/chatter', 'std_msgs/msg/String', typestore=store)
        for index in range(count):
            stamp = START + index * 33 * MS
            time = types['builtin_interfaces/msg/Time'](*divmod(stamp, 10**9))
            header = types['std_msgs/msg/Header'](seq=index, stamp=time, frame_id='cam')
            image = thermal(index)
            message = types[IMAGE_TYPE](
                header, *image.shape, 'mono16', 0, 2 * image.shape[1], image.view('u1').ravel()
            )
            bag.write(raw, stamp, store.serialize_ros1(message, IMAGE_TYPE))
            png = cv2.imencode('.png', rgb(index)[..., ::-1])[1].ravel()
            message = types[COMPRESSED_TYPE](header, 'png', png)
            bag.write(packed, stamp, store.serialize_ros1(message, COMPRESSED_TYPE))
            message = types['std_msgs/msg/String']('hello')
            bag.write(text, stamp, store.serialize_ros1(message, 'std_msgs/msg/String'))
    return path


def test_images_of_a_ros_1_bag(tmp_path):
    with open_bag(write_ros1(tmp_path / 'old.bag')) as bag:
        assert sorted(bag.topics) == [RGB, THERMAL]
        images = list(bag.images())
        assert bag.damage is None
    assert len(images) == 10
    for index, image in enumerate(i for i in images if i.topic == THERMAL):
        assert np.array_equal(image.image, thermal(index))
        assert image.stamp_ns == START + index * 33 * MS
        assert image.frame_id == 'cam'
    for index, image in enumerate(i for i in images if i.topic == RGB):
        assert np.array_equal(image.image, rgb(index))


def test_damaged_ros_1_bag(tmp_path):
    whole = write_ros1(tmp_path / 'old.bag').read_bytes()
    damaged = tmp_path / 'cut.bag'
    for length in (0, 20, len(whole) // 2):
        damaged.write_bytes(whole[:length])
        with pytest.raises(BagError, match=r'cut\.bag cannot be read as a ROS 1 bag .*reindex'):
            open_bag(damaged)


def test_truncated_messages_of_ros_1_are_refused():
    store = get_typestore(Stores.ROS1_NOETIC)
    types = store.types
    header = types['std_msgs/msg/Header'](0, types['builtin_interfaces/msg/Time'](5, 6), 'cam')
    message = types[IMAGE_TYPE](header, 2, 3, 'mono8', 0, 3, np.arange(6, dtype=np.uint8))
    data = bytes(store.serialize_ros1(message, IMAGE_TYPE))
    assert parse_image(IMAGE_TYPE, to_ros2(IMAGE_TYPE, data)).stamp_ns == 5 * 10**9 + 6
    for length in range(len(data)):
        with pytest.raises(ImageError, match='message ends after'):
            to_ros2(IMAGE_TYPE, data[:length])
