"""From a checkpoint of a training to a small file for others, and its figures
for the model's card: ``publish_model.py IN.pth OUT.safetensors``."""

import argparse

from sr4ir_mm.cli import add_debug


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Write weights in half precision, without the state of '
        'the training, with the config and the names of labels; test what has '
        'been written, on the test data of the config.'
    )
    parser.add_argument('checkpoint', help='of a training')
    parser.add_argument('out', help='FILE.safetensors')
    add_debug(parser)
    args = parser.parse_args()
    if not args.out.endswith('.safetensors'):
        parser.error(f'{args.out!r} is no FILE.safetensors.')
    return args


def main() -> None:
    args = parse_args()
    from sr4ir_mm.utils.mistakes import one_sentence

    with one_sentence(debug=args.debug):
        from sr4ir_mm.apis.publish import describe, publish

        print(describe(publish(args.checkpoint, args.out)))


if __name__ == '__main__':
    main()
