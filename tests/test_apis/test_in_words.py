import numpy as np
import pytest

from sr4ir_mm.apis.in_words import InWords

CLASSES = ['cat', 'dog']


def say(number, prediction, classes=CLASSES):
    words = InWords(classes, least=0.5)
    for i in range(number):
        words.add(dict(name=f'photos/{i}.png', prediction=prediction))
    return words.lines()


@pytest.mark.parametrize(
    'prediction, one, many',
    [
        (
            np.array([[0, 0], [0, 1]], np.uint8),
            '0.png: cat 75%, dog 25%',
            'Of all pixels: cat 75%, dog 25%',
        ),
        (
            dict(bboxes=[], labels=[1, 0, 1, 0], scores=[0.9, 0.6, 0.5, 0.4]),
            '0.png: 2 x dog, 1 x cat',
            'Boxes: 22 x dog, 11 x cat',
        ),
        (
            dict(bboxes=[], labels=[1], scores=[0.4]),
            '0.png: nothing',
            'Boxes: nothing',
        ),
        (
            dict(pred_label=1, pred_score=0.981),
            '0.png: dog (0.98)',
            'Images: 11 x dog',
        ),
        (
            dict(pred_label=[0, 7], pred_score=[0.6, 0.7]),  # several, one new
            '0.png: 7 (0.70), cat (0.60)',
            'Images: 11 x cat, 11 x 7',
        ),
    ],
)
def test_a_line_for_each_of_a_few_images(prediction, one, many):
    assert say(1, prediction) == [one]
    assert len(say(10, prediction)) == 10
    assert say(11, prediction) == [many]


@pytest.mark.parametrize(
    'names, said',
    [
        (('in/a/0.png', 'in/b/0.png'), ['a/0.png', 'b/0.png']),
        (('in/a/0.png', 'in/b/1.png'), ['0.png', '1.png']),
        (
            ('/x/s-0.tar/0.png', '/x/s-1.tar/0.png'),
            ['s-0.tar/0.png', 's-1.tar/0.png'],
        ),
        (('0.png', 'in/0.png'), ['0.png', 'in/0.png']),
        (('/a/0.png', '/b/0.png'), ['a/0.png', 'b/0.png']),
        (('a.png', 'a.png'), ['a.png', 'a.png']),
    ],
)
def test_names_as_short_as_they_differ(names, said):
    words = InWords(CLASSES, least=0.5)
    for name in names:
        words.add(dict(name=name, prediction=np.zeros((1, 1), np.uint8)))
    lines = [line.split(':')[0] for line in words.lines()]
    assert lines == said


def test_a_large_image_has_more_pixels():
    words = InWords(CLASSES, least=0.5)
    for size, label in [(1, 0)] * 10 + [(10, 1)]:
        labels = np.full((3, size), label, np.uint8)
        words.add(dict(name='a.png', prediction=labels))
    assert words.lines() == ['Of all pixels: cat 50%, dog 50%']


def test_the_largest_classes():
    labels = np.repeat(np.arange(7, dtype=np.uint8), range(10, 80, 10))
    (line,) = say(1, labels, classes=None)
    assert line.startswith('0.png: 6 25%, 5 21%')
    assert line.endswith('2 11%, and 2 more classes')
    assert say(0, labels) == []
