"""`mafs-eval fusion`: table, JSON, report and what happens with bad input."""

from __future__ import annotations

import json
from pathlib import Path
import re

import cv2
from mafs_training.evaluation.cli import main
from mafs_training.evaluation.fusion.baselines import BASELINES, fuse_baseline
from mafs_training.metrics.fusion import FUSION_METRICS
from mafs_training.metrics.intensity import average_gradient, entropy
from mafs_training.metrics.plane import luminance
import numpy as np
import pytest

REFERENCE = json.loads((Path(__file__).parent / 'data' / 'reference.json').read_text())


@pytest.fixture
def folders(tmp_path, triple):
    """Three pairs, night and day, and one method's fused images."""
    fused, thermal, visible = triple
    for name, flip in (('00001D', 1), ('00002N', 0), ('00003N', -1)):
        for kind, image in (('ir', thermal), ('vi', visible), ('fused', fused)):
            (tmp_path / kind).mkdir(exist_ok=True)
            changed = image if flip == 1 else cv2.flip(image, flip)
            cv2.imwrite(str(tmp_path / kind / f'{name}.png'), changed)
    return tmp_path


def run(folder: Path, *extra: str, fused: str | None = 'mine={}/fused') -> int:
    arguments = [
        'fusion',
        '--ir',
        f'{folder}/ir',
        '--vi',
        f'{folder}/vi',
        '--quiet',
        '--jobs',
        '1',
        '--json',
        f'{folder}/out.json',
        *extra,
    ]
    if fused:
        arguments += ['--fused', fused.format(folder)]
    return main(arguments)


def document(folder: Path) -> dict:
    return json.loads((folder / 'out.json').read_text())


def test_table_and_json_hold_the_reference_values(folders, capsys):
    assert run(folders) == 0
    result = document(folders)
    assert result['schema'] == 'mafs-eval/1'
    assert result['metrics'] == list(FUSION_METRICS)
    assert set(result['methods']) == {'mine', *BASELINES}
    mine = result['methods']['mine']
    for name, value in REFERENCE['fused'].items():
        assert mine[name]['values']['00001D'] == pytest.approx(value, rel=1e-6, abs=1e-6)
        assert mine[name]['n'] == 3
        assert mine[name]['mean'] == pytest.approx(np.mean(list(mine[name]['values'].values())))
    maximum = result['methods']['maximum']['Qabf']['values']['00001D']
    assert maximum == pytest.approx(REFERENCE['max']['Qabf'], rel=2e-6)
    # A source as fused image has no SCD, which JSON says by null.
    assert result['methods']['thermal']['SCD']['values']['00001D'] is None
    assert result['methods']['thermal']['SCD']['mean'] is None
    printed = capsys.readouterr().out
    row = next(line for line in printed.splitlines() if line.startswith('mine'))
    assert f'{mine["EN"]["mean"]:.4f}' in row
    assert 'mine: at or above the best rival in ' in printed


def test_groups_come_from_names_or_patterns(folders, capsys):
    assert run(folders) == 0
    result = document(folders)
    assert result['groups'] == {'day': ['00001D'], 'night': ['00002N', '00003N']}
    night = result['group_means']['night']['mine']['AG']
    values = result['methods']['mine']['AG']['values']
    assert night == pytest.approx((values['00002N'] + values['00003N']) / 2)
    assert run(folders, '--group', 'low=*[12]?') == 0
    assert document(folders)['groups'] == {'low': ['00001D', '00002N']}
    capsys.readouterr()
    assert run(folders, '--group', 'none=x*') == 2
    assert "pattern 'x*' matches none of 3 names" in capsys.readouterr().err


def test_several_processes_give_the_same(folders):
    assert run(folders) == 0
    one = document(folders)
    assert run(folders, '--jobs', '2') == 0
    two = document(folders)
    one['inputs'].pop('command')
    two['inputs'].pop('command')
    assert one == two


def test_baselines_alone_and_variants(folders):
    assert run(folders, '--variants', fused=None) == 0
    result = document(folders)
    assert set(result['methods']) == set(BASELINES)
    assert result['metrics'][-2:] == ['Qabf_XP', 'MI_bits']


def test_report_is_one_file_that_needs_nothing_else(folders):
    assert run(folders, '--html', f'{folders}/r.html') == 0
    text = (folders / 'r.html').read_text(encoding='utf-8')
    assert not re.findall(r'(?:src|href)="(?!data:)[^"]*"', text)
    assert 'url(' not in text
    assert '<script' not in text
    assert text.count('<svg') >= len(FUSION_METRICS)
    assert text.count('data:image/jpeg;base64,') >= 3
    assert 'width=device-width' in text
    assert 'mine' in text


def test_report_escapes_names(folders):
    (folders / 'fused').rename(folders / 'a<b>&c')
    assert run(folders, '--html', f'{folders}/r.html', fused='{}/a<b>&c') == 0
    text = (folders / 'r.html').read_text(encoding='utf-8')
    assert '<b>&c' not in text
    assert 'a&lt;b&gt;&amp;c' in text


# --- bad input ----------------------------------------------------------------------------------


def spoil_size(folder):
    cv2.imwrite(str(folder / 'fused' / '00002N.png'), np.zeros((90, 128), np.uint8))
    return r'00002N, method mine: sizes differ: fused 128x90, thermal 128x96, visible 128x96'


def spoil_depth(folder):
    cv2.imwrite(str(folder / 'fused' / '00002N.png'), np.zeros((96, 128), np.uint16))
    return r'00002N\.png: fused image is 16-bit \(uint16\), expected 8-bit'


def spoil_colour(folder):
    image = np.zeros((96, 128, 3), np.uint8)
    image[..., 0] = 9
    cv2.imwrite(str(folder / 'ir' / '00002N.png'), image)
    return r'00002N\.png: thermal image is in colour, expected grey'


def spoil_partner(folder):
    (folder / 'ir' / '00002N.png').unlink()
    return r'00002N: visible image without thermal partner in .*ir'


def spoil_fused_partner(folder):
    (folder / 'fused' / '00002N.png').unlink()
    return r'method mine lacks 1 of 3 fused images: 00002N'


def spoil_file(folder):
    (folder / 'vi' / '00002N.png').write_bytes(b'no image')
    return r'00002N\.png: visible image cannot be decoded'


def spoil_alpha(folder):
    cv2.imwrite(str(folder / 'fused' / '00002N.png'), np.zeros((96, 128, 4), np.uint8))
    return r'00002N\.png: fused image has 4 channels, expected 1 or 3'


@pytest.mark.parametrize(
    'spoil',
    [
        spoil_size,
        spoil_depth,
        spoil_colour,
        spoil_partner,
        spoil_fused_partner,
        spoil_file,
        spoil_alpha,
    ],
)
def test_one_bad_file_is_one_line_and_the_rest_is_measured(folders, capsys, spoil):
    message = spoil(folders)
    assert run(folders, '--html', f'{folders}/r.html') == 1
    errors = capsys.readouterr().err.splitlines()
    lines = [line for line in errors if line.startswith('mafs-eval: ')]
    assert any(re.search(message, line) for line in lines), errors
    assert 'Traceback' not in '\n'.join(errors)
    result = document(folders)
    assert set(result['methods']['mine']['EN']['values']) == {'00001D', '00003N'}
    assert any(re.search(message, problem) for problem in result['problems'])


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--ir', '{}/nowhere', '--vi', '{}/vi'], 'thermal folder not found'),
        (['--ir', '{}/empty', '--vi', '{}/vi'], 'thermal folder has no images'),
        (['--ir', '{}/ir', '--vi', '{}/other'], 'no image name is in all folders'),
        (
            ['--ir', '{}/ir', '--vi', '{}/vi', '--fused', 'maximum={}/fused'],
            "method name 'maximum' is taken by a baseline",
        ),
        (
            ['--ir', '{}/ir', '--vi', '{}/vi', '--fused', 'a={}/fused', 'a={}/fused'],
            "method 'a' is given twice",
        ),
        (
            ['--ir', '{}/ir', '--vi', '{}/vi', '--fused', 'a={}/empty'],
            r'fused \(a\) folder has no images',
        ),
        (['--ir', '{}/ir', '--vi', '{}/vi', '--rank', 'FID'], "--rank 'FID': expected one of EN"),
        (['--ir', '{}/ir', '--vi', '{}/vi', '--group', 'night'], 'NAME=PATTERN'),
        (['--ir', '{}/ir', '--vi', '{}/vi', '--save', '{}/out'], '--save keeps the images of'),
        (['--ir', '{}/ir', '--vi', '{}/vi', '--labels', '{}/none'], 'label folder not found'),
        (['--ir', '{}/ir', '--vi', '{}/vi', '--json', '/proc/none/x.json'], 'cannot be written'),
    ],
)
def test_wrong_use_is_one_line(folders, capsys, arguments, message):
    (folders / 'empty').mkdir()
    (folders / 'other').mkdir()
    cv2.imwrite(str(folders / 'other' / 'x.png'), np.zeros((96, 128), np.uint8))
    code = main(['fusion', '--quiet', '--jobs', '1', *(a.format(folders) for a in arguments)])
    assert code == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert re.search(message, errors[0])


def test_two_files_of_one_name_are_refused(folders, capsys):
    cv2.imwrite(str(folders / 'ir' / '00001D.jpg'), np.zeros((96, 128), np.uint8))
    assert run(folders) == 2
    assert "two images named '00001D'" in capsys.readouterr().err


def test_common_keeps_the_pairs_of_all_methods(folders):
    (folders / 'fused' / '00002N.png').unlink()
    assert run(folders, '--common') == 0
    assert document(folders)['names'] == ['00001D', '00003N']
    assert document(folders)['methods']['maximum']['EN']['n'] == 2


def test_usage_errors_and_help(capsys):
    with pytest.raises(SystemExit) as caught:
        main(['fusion', '--ir', 'x'])
    assert caught.value.code == 2
    with pytest.raises(SystemExit) as caught:
        main(['fusion', '--ir', 'x', '--vi', 'y', '--jobs', '0'])
    assert caught.value.code == 2
    assert "expected a whole number from 1, got '0'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main(['--help'])
    assert caught.value.code == 0


def test_baselines_by_hand():
    thermal = np.full((96, 128), 10, np.uint8)
    visible = np.full((96, 128), 13, np.uint8)
    # 11.5 is rounded to the even 12.
    assert fuse_baseline('average', thermal, visible)[0, 0] == 12
    assert fuse_baseline('maximum', thermal, visible)[0, 0] == 13
    # No detail anywhere: the larger base alone.
    assert (fuse_baseline('lapmax', thermal, visible) == 13).all()
    assert fuse_baseline('thermal', thermal, visible) is thermal
    assert abs(int(fuse_baseline('laplacian', thermal, visible)[40, 40]) - 11.5) <= 1
    with pytest.raises(ValueError, match='unknown baseline'):
        fuse_baseline('median', thermal, visible)


def test_baselines_have_the_golden_means(shared_data):
    # All 40 pairs, the two quickest metrics; `mafs-eval fusion` prints the whole table.
    golden = json.loads((shared_data / 'golden' / 'msrs_baselines.json').read_text())['methods']
    folder = shared_data / 'data' / 'msrs' / 'val'
    names = {
        'average': 'Average',
        'maximum': 'Max',
        'lapmax': 'LapMax',
        'thermal': 'InfraredOnly',
        'visible': 'VisibleOnly',
    }
    sums = {name: np.zeros(2) for name in names}
    files = sorted((folder / 'ir').iterdir())
    for file in files:
        thermal = luminance(cv2.imread(str(file))[..., ::-1])
        visible = luminance(cv2.imread(str(folder / 'vi' / file.name))[..., ::-1])
        for name in names:
            fused = fuse_baseline(name, thermal, visible)
            sums[name] += entropy(fused), average_gradient(fused)
    for name, reference in names.items():
        expected = [golden[reference]['val'][metric] for metric in ('EN', 'AG')]
        assert sums[name] / len(files) == pytest.approx(expected, abs=6e-5)
