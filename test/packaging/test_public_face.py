"""Containers, workflows and the files a visitor looks for: valid, and true to the repository."""

from __future__ import annotations

import json
import re
import subprocess
import xml.etree.ElementTree as ET

from mafs_model.version import __version__
import pytest
import yaml

DOCKERFILES = ('docker/Dockerfile', 'docker/Dockerfile.jetson')
INSTRUCTIONS = {
    'ARG', 'FROM', 'SHELL', 'RUN', 'USER', 'WORKDIR', 'COPY', 'ENV', 'ENTRYPOINT', 'CMD',
}  # fmt: skip
# What apt installs that is no ROS package of ours, by the names of Ubuntu 22.04 and 24.04.
UBUNTU = {
    'build-essential', 'cmake', 'python3-dev', 'python3-venv', 'git', 'less', 'openssh-client',
    'sudo',
}  # fmt: skip


def instructions(text: str) -> list[tuple[str, str]]:
    """Return (instruction, arguments) of a Dockerfile, comments and line ends removed."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith('#')]
    joined = '\n'.join(lines).replace('\\\n', ' ')
    found = []
    for line in joined.splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(' ')
            found.append((name, ' '.join(rest.split())))
    return found


def stages(text: str) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    name = ''
    for instruction, rest in instructions(text):
        if instruction == 'FROM':
            name = rest.split(' AS ')[-1]
        found.setdefault(name, []).append((instruction, rest))
    return found


@pytest.fixture(scope='module', params=DOCKERFILES)
def dockerfile(request, root):
    return (root / request.param).read_text(encoding='utf-8')


def test_dockerfiles_keep_the_rules(dockerfile):
    found = instructions(dockerfile)
    assert {name for name, _ in found} <= INSTRUCTIONS
    assert [rest for name, rest in found if name == 'SHELL'] == [
        '["/bin/bash", "-o", "pipefail", "-c"]'
    ]
    for name, rest in found:
        if name == 'FROM':
            assert ':latest' not in rest
        if name == 'WORKDIR':
            assert rest.startswith('/')
        if name == 'RUN':
            assert 'cd ' not in rest, 'use WORKDIR'
            assert ('apt-get install' in rest) == ('apt-get update' in rest), rest
        if 'apt-get install' in rest:
            assert '-y --no-install-recommends' in rest
            assert rest.endswith('rm -rf /var/lib/apt/lists/*') or 'useradd' in rest
        if 'pip install' in rest:
            assert 'PIP_NO_CACHE_DIR=1' in rest
        if name in {'CMD', 'ENTRYPOINT', 'SHELL'}:
            assert isinstance(json.loads(rest), list)


def test_the_final_images_do_not_run_as_root(dockerfile):
    for name, stage in stages(dockerfile).items():
        if any(i in {'CMD', 'ENTRYPOINT'} for i, _ in stage):
            assert [rest for i, rest in stage if i == 'USER'][-1] == 'mafs', name


def test_images_are_of_known_bases_and_stages(dockerfile):
    known = set()
    for name, rest in instructions(dockerfile):
        if name == 'FROM':
            base, _, alias = rest.partition(' AS ')
            assert base in known | {'ros:${DISTRO}-ros-base', '${BASE}'}, base
            known.add(alias)
    assert re.search(r'^ARG (DISTRO=jazzy|BASE=ros:humble-ros-base)$', dockerfile, re.MULTILINE)


def test_packages_are_those_of_the_manifest(dockerfile, root):
    manifest = ET.parse(root / 'package.xml').getroot()
    wanted = {e.text.replace('_', '-') for e in manifest.iter() if e.tag.endswith('depend')}
    wanted |= {'foxglove-bridge'}
    for name, rest in instructions(dockerfile):
        for block in re.findall(
            r'--no-install-recommends (.*?) &&', rest if name == 'RUN' else ''
        ):
            for package in block.replace('"', '').split():
                ros = re.fullmatch(r'ros-(?:\$\{ROS_DISTRO\}|humble)-(.+)', package)
                assert (ros[1] in wanted) if ros else (package in UBUNTU), package
    # What the node uses where it is installed must be in the image.
    for package in ('cv-bridge', 'message-filters', 'vision-msgs', 'diagnostic-msgs'):
        assert f'-{package}' in dockerfile


def test_files_named_in_containers_exist(dockerfile, root):
    named = set(
        re.findall(r'(?:/opt/mafs_ros/|\b)((?:scripts|docker|launch)/[\w./-]+)', dockerfile)
    )
    named.discard('docker/dockerfile')  # the syntax of the file
    assert named
    for name in named:
        assert (root / name).exists(), name
    for launch in re.findall(r'"mafs_ros", "(\w+\.launch\.py)"', dockerfile):
        assert (root / 'launch' / launch).is_file()
    runs = '\n'.join(rest for name, rest in instructions(dockerfile) if name == 'RUN')
    for extras in re.findall(r'bootstrap\.sh ([a-z]+)', runs):
        assert (root / 'requirements' / f'{extras}.txt').is_file()


def test_entry_point_is_a_valid_script(root):
    script = root / 'docker' / 'entrypoint.sh'
    assert script.stat().st_mode & 0o111
    subprocess.run(['bash', '-n', str(script)], check=True)
    done = subprocess.run(
        ['bash', str(script), 'true'], env={'PATH': '/usr/bin:/bin'}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert 'ROS_DISTRO: is set in the images of ROS' in done.stderr


def test_compose_names_targets_topics_and_arguments_that_exist(root):
    compose = yaml.safe_load((root / 'docker/compose.yaml').read_text('utf-8'))
    targets = stages((root / 'docker/Dockerfile').read_text('utf-8'))
    for service in compose['services'].values():
        build = service['build']
        assert build['target'] in targets
        assert (root / build['dockerfile']).is_file()
        # Shared memory is how images get from one container to the next.
        assert (service['network_mode'], service['ipc']) == ('host', 'host')
        for volume in service.get('volumes', []):
            source = re.sub(r'\$\{[^}]*\}', 'BAG', volume).split(':')[0]
            assert source == 'BAG' or source in compose['volumes']
    command = compose['services']['node']['command']
    launch = (root / 'launch' / command[3]).read_text('utf-8')
    for argument in command[4:]:
        assert f"'{argument.split(':=')[0]}'" in launch


def test_devcontainer_names_what_exists(root):
    folder = root / '.devcontainer'
    settings = json.loads((folder / 'devcontainer.json').read_text('utf-8'))
    build = settings['build']
    assert build['target'] in stages((folder / build['dockerfile']).read_text('utf-8'))
    assert (folder / build['context']).resolve() == root.resolve()
    makefile = (root / 'Makefile').read_text('utf-8')
    for target in re.findall(r'make (\w+)', settings['postCreateCommand']):
        assert re.search(rf'^{target}:', makefile, re.MULTILINE)


def workflows(root):
    return {
        p: yaml.safe_load(p.read_text('utf-8')) for p in (root / '.github/workflows').glob('*')
    }


def test_workflows_are_bounded_and_ask_for_little(root):
    assert workflows(root)
    for path, workflow in workflows(root).items():
        assert workflow['permissions'] == {'contents': 'read'}, path
        assert True in workflow or 'on' in workflow  # YAML reads `on` as a truth value
        for name, job in workflow['jobs'].items():
            assert 'latest' not in job['runs-on'], name
            assert 0 < job['timeout-minutes'] <= 90, name
            for step in job['steps']:
                assert ('uses' in step) != ('run' in step)
                assert re.fullmatch(r'[\w-]+/[\w-]+@v\d+', step.get('uses', 'a/b@v1'))


def test_workflows_name_targets_files_extras_and_markers_that_exist(root):
    makefile = (root / 'Makefile').read_text('utf-8')
    project = (root / 'pyproject.toml').read_text('utf-8')
    extras = {p.stem for p in (root / 'requirements').glob('*.txt')} | {'tensorrt', 'completion'}
    targets = stages((root / 'docker/Dockerfile').read_text('utf-8'))
    for workflow in workflows(root).values():
        for job in workflow['jobs'].values():
            text = '\n'.join(step.get('run', '') for step in job['steps'])
            for target in re.findall(r'\bmake (\w+)', text):
                assert re.search(rf'^{target}:', makefile, re.MULTILINE), target
            for path in re.findall(r'\b((?:test|docker|requirements)/[\w./-]*\w)(?=\s|$)', text):
                assert (root / path).exists(), path
            for group in re.findall(r'\.\[([\w,]+)\]', text):
                assert set(group.split(',')) <= extras
            for marks in re.findall(r"""-m ['"]([\w ]+)['"]""", text):
                for mark in set(marks.split()) - {'not', 'and'}:
                    assert f"'{mark}: " in project, mark
            for target in re.findall(r'--target (\w+)', text):
                assert target in targets
            for row in job.get('strategy', {}).get('matrix', {}).get('include', []):
                assert (root / f'requirements/locks/{row["lock"]}.txt').is_file()
                assert f'py{row["python"].replace(".", "")}' in row['lock']


def test_workflows_test_what_is_supported(root):
    jobs = next(iter(workflows(root).values()))['jobs']
    pythons = [row['python'] for row in jobs['without-ros']['strategy']['matrix']['include']]
    assert pythons == ['3.10', '3.11', '3.12', '3.13']
    assert jobs['with-ros']['strategy']['matrix']['distro'] == ['humble', 'jazzy']


def test_issue_forms_are_complete(root):
    for path in (root / '.github/ISSUE_TEMPLATE').glob('*.yaml'):
        form = yaml.safe_load(path.read_text('utf-8'))
        assert {'name', 'description', 'body'} <= set(form)
        ids = [field['id'] for field in form['body']]
        assert len(ids) == len(set(ids))
        for field in form['body']:
            assert field['type'] in {'textarea', 'input', 'checkboxes', 'dropdown'}
            assert field['attributes']['label']


def test_citation_and_contacts_agree_with_the_package(root):
    citation = yaml.safe_load((root / 'CITATION.cff').read_text('utf-8'))
    assert citation['version'] == __version__
    assert citation['cff-version'] == '1.2.0'
    assert {'title', 'message', 'authors', 'license'} <= set(citation)
    manifest = ET.parse(root / 'package.xml').getroot()
    assert citation['license'] == manifest.findtext('license')
    address = manifest.find('maintainer').get('email')
    for name in ('SECURITY.md', 'CODE_OF_CONDUCT.md'):
        assert f'<{address}>' in (root / name).read_text('utf-8'), name


def test_what_a_container_must_not_copy_is_ignored(root):
    ignored = set((root / '.dockerignore').read_text('utf-8').split())
    assert {'.git', '.venv', 'build', 'install', 'log', 'out'} <= ignored


def test_the_document_says_what_was_not_built(root):
    text = (root / 'docs/containers.md').read_text('utf-8')
    for name in stages((root / 'docker/Dockerfile').read_text('utf-8')):
        if name in {'node', 'cuda', 'viewer', 'develop'}:
            assert f'`{name}`' in text
    assert 'Nothing on this page was built or run here' in text
