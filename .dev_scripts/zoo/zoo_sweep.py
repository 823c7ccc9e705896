"""Try every model of the toolboxes behind an SR network:
``python .dev_scripts/zoo/zoo_sweep.py --out FOLDER``.

Of every config family that an installed toolbox ships, the smallest config is
wrapped and built, with random weights; both phases train, with TDP, on two
made-up images; then it predicts. What fails is tried again without the
wrapper, so that the table says whose fault it is. SR networks of mmagic are
tried in front of a small segmentor.

Each model has a process of its own, with limits; its result is a line of
FOLDER/TOOLBOX.jsonl. The same command goes on where it was stopped, and
``--again`` repeats what did not pass. ``--table FILE`` writes the table.
"""

import argparse
import json
import os
import os.path as osp
import resource
import signal
import time
from importlib import import_module
from typing import Callable, Dict, Optional

import sr4ir_mm  # noqa: F401  (mmagic imports only after it)

TOOLBOXES = ('mmpretrain', 'mmseg', 'mmdet', 'mmagic')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--out', required=True, help='folder of the results')
    parser.add_argument(
        '--toolbox', nargs='+', choices=TOOLBOXES, default=TOOLBOXES
    )
    parser.add_argument('--family', nargs='+', help='these only')
    parser.add_argument(
        '--again', action='store_true', help='repeat what did not pass'
    )
    parser.add_argument(
        '--seconds', type=int, default=120, help='of CPU time for each model'
    )
    parser.add_argument(
        '--memory', type=float, default=6, help='GiB for each model'
    )
    parser.add_argument('--table', help='only write the table, to this file')
    return parser.parse_args()


def in_process(
    function: Callable[[dict], None], seconds: int, memory: float
) -> dict:
    """Run a function that fills a dict, in a process with limits."""
    source, sink = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(source)
        _limit(seconds, memory)
        result = {}
        try:
            function(result)
        except BaseException as error:  # noqa: B036
            result['error'] = f'{type(error).__name__}: {error}'[:2000]
        with os.fdopen(sink, 'w') as file:
            json.dump(result, file)
        os._exit(0)
    os.close(sink)
    with os.fdopen(source) as file:
        text = file.read()
    os.waitpid(pid, 0)
    return json.loads(text) if text else dict(error='killed')


def _limit(seconds: int, memory: float) -> None:
    def stop(*_):
        raise TimeoutError(f'more than {seconds} s of CPU time')

    signal.signal(signal.SIGXCPU, stop)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 10))
    limit = int(memory * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)


def try_family(toolbox: str, files, seconds: int, memory: float) -> dict:
    """The result of a family; see :func:`verdict`."""
    from zoo_models import (
        Stage,
        choose,
        other_task,
        try_bare,
        try_wrapped,
    )

    def run(trial: Callable) -> dict:
        stage = Stage()

        def fill(result: dict) -> None:
            begin = time.process_time()
            try:
                path, cfg = choose(toolbox, files)
                result['config'] = path.partition('.mim/configs/')[2]
                result['model'] = str(cfg.get('model', {}).get('type'))
                result['other_task'] = other_task(cfg)
                trial(toolbox, cfg, stage)
            finally:
                result['stage'] = stage.name
                result['seconds'] = round(time.process_time() - begin, 1)

        return in_process(fill, seconds, memory)

    result = run(try_wrapped)
    if 'error' in result:
        result['bare'] = run(try_bare)
    return result


def verdict(result: dict) -> str:
    """``passed``; ``bare``, if the model does not train without the wrapper
    either; ``ours``, if it does, but not with it; ``other``, if it is none of
    the toolbox's task."""
    if 'error' not in result:
        return 'passed'
    if result.get('other_task'):
        return 'other'
    return 'bare' if 'error' in result.get('bare', {}) else 'ours'


def load(path: str) -> Dict[str, dict]:
    """Results by family, the last one of each."""
    if not osp.isfile(path):
        return {}
    with open(path) as file:
        lines = [json.loads(line) for line in file if line.endswith('\n')]
    return {line['family']: line for line in lines}


def shipped(toolbox: str) -> Dict[str, list]:
    """All families that a toolbox has, with their config files."""
    if toolbox == 'mmagic':
        from zoo_sr_nets import families
    else:
        from zoo_models import families
    return families(toolbox)


def sweep(toolbox: str, args: argparse.Namespace) -> None:
    """Try all families of a toolbox that have no result yet."""
    attempt = try_family
    if toolbox == 'mmagic':
        from zoo_sr_nets import try_network as attempt
    path = osp.join(args.out, f'{toolbox}.jsonl')
    known = load(path)
    for family, files in shipped(toolbox).items():
        if args.family and family not in args.family:
            continue
        old = known.get(family)
        if old and not (args.again and verdict(old) in ('ours', 'bare')):
            continue
        result = attempt(toolbox, files, args.seconds, args.memory)
        result['family'] = family
        with open(path, 'a') as file:
            file.write(json.dumps(result) + '\n')
        error = result.get('error', '').partition('\n')[0]
        print(f'{toolbox} {family}: {verdict(result)} {error}', flush=True)


def main(args: Optional[argparse.Namespace] = None) -> None:
    args = args or parse_args()
    if args.table:
        from zoo_table import write_table

        write_table(args.table, args.out)
        return
    os.makedirs(args.out, exist_ok=True)
    for toolbox in TOOLBOXES:  # once, for all processes
        for module in ('models', 'engine', 'structures', 'datasets'):
            if (toolbox, module) != ('mmagic', 'datasets'):
                import_module(f'{toolbox}.{module}')
    for toolbox in args.toolbox:
        sweep(toolbox, args)


if __name__ == '__main__':
    main()
