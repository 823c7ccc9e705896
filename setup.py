"""Packaging of sr4ir_mm, with the ``.mim`` folder that MIM looks for."""

import os
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PACKAGE = 'sr4ir_mm'
MIM_ENTRIES = ('configs', 'model_zoo', 'tools', 'model-index.yml')


def read_version():
    """Parse the version: importing the package would need torch."""
    text = (ROOT / PACKAGE / '__init__.py').read_text(encoding='utf-8')
    return re.search(r"^__version__ = '([^']+)'", text, re.M).group(1)


def requirements(name, *only):
    """Lines of ``requirements/<name>.txt``, or those of the packages in
    ``only``."""
    text = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8')
    lines = [line.split('#')[0].strip() for line in text.splitlines()]
    return [
        line
        for line in lines
        if line and (not only or re.match(r'[\w-]+', line).group() in only)
    ]


class BuildPyWithMim(build_py):
    """Puts ``configs``, ``model_zoo``, ``tools`` and ``model-index.yml`` in
    ``sr4ir_mm/.mim``: links to the checkout in an editable install, copies in
    a wheel.
    """

    def run(self):
        super().run()
        editable = getattr(self, 'editable_mode', False)
        mim = (ROOT if editable else Path(self.build_lib)) / PACKAGE / '.mim'
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for entry in MIM_ENTRIES:
            if editable:
                (mim / entry).symlink_to(os.path.relpath(ROOT / entry, mim))
            elif (ROOT / entry).is_dir():
                shutil.copytree(
                    ROOT / entry,
                    mim / entry,
                    ignore=shutil.ignore_patterns('__pycache__'),
                )
            else:
                shutil.copy(ROOT / entry, mim / entry)


MIM = ('mminstall', 'mmengine', 'mmcv', 'setuptools')
ONEDL = ('onedl-mminstall', 'onedl-mmengine', 'onedl-mmcv')
extras = {
    'seg': requirements(*MIM, 'mmsegmentation', 'ftfy', 'regex'),
    'det': requirements(*MIM, 'mmdet'),
    'cls': requirements(*MIM, 'mmpretrain'),
    'mim': requirements('mminstall'),
    'demo': requirements('demo'),
    'deploy': requirements('deploy'),
    'spandrel': requirements('spandrel'),
    'timm': requirements('timm'),
    'raster': requirements('raster'),
    'yolo': requirements('yolo'),
    'analysis': requirements('analysis'),
    'docs': requirements('docs'),
    'tests': requirements('tests'),
}
extras['all'] = sorted(set(sum(extras.values(), [])))
# in place of `seg`, `det`, `cls` and `mim`, and so not in `all`
extras['onedl-seg'] = requirements(*ONEDL, 'onedl-mmsegmentation')
extras['onedl-det'] = requirements(*ONEDL, 'onedl-mmdetection')
extras['onedl-cls'] = requirements(*ONEDL, 'onedl-mmpretrain')
extras['onedl'] = requirements('onedl-mminstall')
# of 2023, at odds with what other packages need today
extras['mmagic-full'] = requirements('mmagic-full')

setup(
    name=PACKAGE,
    version=read_version(),
    description='Super-resolution trained for recognition (SR4IR, CVPR 2024)'
    ' with any OpenMMLab segmentor, detector or classifier',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='sr4ir_mm contributors',
    license='Apache License 2.0',
    keywords='super-resolution, segmentation, detection, classification, '
    'OpenMMLab',
    classifiers=[
        'Development Status :: 4 - Beta',
        'License :: OSI Approved :: Apache Software License',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    python_requires='>=3.8',
    entry_points=dict(console_scripts=['sr4ir = sr4ir_mm.__main__:main']),
    install_requires=requirements('runtime'),
    extras_require=extras,
    cmdclass={'build_py': BuildPyWithMim},
    zip_safe=False,
)
