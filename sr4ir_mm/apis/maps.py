"""What is predicted from scenes, as maps: GeoTIFF and GeoJSON."""

import json
import os.path as osp
from contextlib import ExitStack, closing
from math import prod
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy as np

from sr4ir_mm.drawing import draw_result
from sr4ir_mm.utils.files import whole_file, write_image
from sr4ir_mm.utils.images import DataError
from sr4ir_mm.utils.labels import NO_LABEL, name_view
from sr4ir_mm.utils.rasters import (
    open_file,
    open_raster,
)

from .geojson import write_boxes, write_regions
from .objects import Objects
from .pipeline import in_threads, predict_all
from .scenes import Part, Scene
from .writer import as_json

if TYPE_CHECKING:
    from rasterio import Affine
    from rich.progress import Progress

    from .inferencer import Inferencer
    from .writer import ResultWriter

# LR pixels of a window that are kept, and that are seen round them. Multiples
# of 32, so that the grids of strided layers lie in a window as in the scene.
KEPT, MARGIN = 256, 64
KEPT_ABOVE_4 = 128  # at larger scales, for the SR image's sake
BLOCK = 256  # pixels of a file's tiles
PREVIEW = 1024  # pixels of its longer side


class RasterFile:
    """A GeoTIFF on the grid of the SR image, written part by part.

    Args:
        path (str): Where to.
        scene (Scene): Of which it is.
        scale (int): How much finer its grid is.
        count (int): How many bands it has.
        dtype (np.dtype): Of its values.
        nodata (float, optional): The value of no data.
    """

    def __init__(
        self,
        path: str,
        scene: Scene,
        scale: int,
        count: int,
        dtype: np.dtype,
        nodata: Optional[float],
    ) -> None:
        source = getattr(scene.raster, 'file', None)
        placed = source is not None and scene.raster.is_map
        dtype = np.dtype(dtype)
        self.scale = scale
        rgb = scene.model_bands is None and count == 3
        self.file = open_file(
            path,
            'w',
            driver='GTiff',
            height=scene.raster.height * scale,
            width=scene.raster.width * scale,
            count=count,
            dtype=dtype,
            crs=source.crs if source is not None else None,
            transform=finer(source.transform, scale) if placed else None,
            nodata=nodata,
            tiled=True,
            blockxsize=BLOCK,
            blockysize=BLOCK,
            compress='deflate',
            predictor=3 if dtype.kind == 'f' else 2,
            bigtiff='IF_SAFER',
            # four bands of 8 bits would be RGB and alpha to GDAL
            photometric='RGB' if rgb else 'MINISBLACK',
            alpha='NO',
        )

    def describe_bands(self, scene: Scene) -> None:
        """Give its bands what the source says of them."""
        source = getattr(scene.raster, 'file', None)
        if source is None or len(scene.bands) != self.file.count:
            return
        at = [band - 1 for band in scene.bands]
        self.file.descriptions = [source.descriptions[i] for i in at]
        for key in ('scales', 'offsets', 'units'):
            values = tuple(getattr(source, key)[i] for i in at)
            if any(values) and set(values) != {1.0}:
                setattr(self.file, key, values)

    def write(self, part: Part, values: np.ndarray) -> None:
        """Write the kept pixels of a part: (h, w, bands) or (h, w)."""
        values = values[..., None] if values.ndim == 2 else values
        self.file.write(values.transpose(2, 0, 1), window=self._window(part))

    def write_mask(self, part: Part, data: np.ndarray) -> None:
        """Write where it has data: bool, (h, w)."""
        import rasterio

        # not in a file beside it, which would keep its temporary name
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
            self.file.write_mask(data, window=self._window(part))

    def _window(self, part: Part):
        from rasterio.windows import Window as File

        top, left, height, width = (side * self.scale for side in part.kept)
        return File(left, top, width, height)


def finer(transform: 'Affine', scale: int) -> 'Affine':
    """The transform of a grid whose pixels are 1/scale as large."""
    a, b, c, d, e, f = transform[:6]
    return type(transform)(a / scale, b / scale, c, d / scale, e / scale, f)


class MapWriter:
    """Writes what is predicted from the parts of a scene: the SR raster, and
    labels or objects. Files appear when they are complete.

    Args:
        scene (Scene): The scene.
        inferencer (Inferencer): What predicts.
        paths (dict): Where to write ``sr`` and ``pred``, without a suffix, as
            far as these are wanted.
        polygons (bool): Whether regions of a segmentor become polygons, and
            those of a detector its masks.
    """

    def __init__(
        self,
        scene: Scene,
        inferencer: 'Inferencer',
        paths: Dict[str, str],
        polygons: bool,
    ) -> None:
        self.scene, self.inferencer = scene, inferencer
        self.scale = inferencer.scale
        self.paths = paths
        self.polygons = polygons
        self.preview = Preview(scene, self.scale)
        self.files: Dict[str, str] = {}  # by folder, for ResultIndex
        self.sr: Optional[RasterFile] = None
        self.labels: Optional[RasterFile] = None
        self.objects = Objects(self.scale, part_size(inferencer)[1] // 2)
        self.classes: Optional[dict] = None  # of a classifier
        self._open = ExitStack()

    def __enter__(self) -> 'MapWriter':
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def add(self, part: Part, found: Any) -> Optional[Exception]:
        """Write a part; parts come in their order."""
        if isinstance(found, Exception):
            return found
        inside, scale = part.inside(self.scale), self.scale
        missing = part.missing
        if missing is not None:
            missing = missing.repeat(scale, 0).repeat(scale, 1)
        values = self.scene.as_file(
            self.inferencer._sr_image(found)[(slice(None), *inside)]
        )
        if 'sr' in self.paths:
            self._write_sr(part, values, missing)
        prediction = self.inferencer._to_plain(found, 'sr')
        labels = None
        if isinstance(prediction, np.ndarray):
            labels = prediction[inside]
            if missing is not None:
                labels = np.where(missing.all(axis=2), NO_LABEL, labels)
                labels = labels.astype(np.uint8)
            if 'pred' in self.paths:
                self._write_labels(part, labels)
        elif 'bboxes' in prediction:
            self.objects.add(part, prediction)
        else:
            self.classes = prediction
        self.preview.add(part, values, labels)
        return None

    def _write_sr(
        self, part: Part, values: np.ndarray, missing: Optional[np.ndarray]
    ) -> None:
        if self.sr is None:
            self.sr = self._open_sr(values)
        nodata = self.sr.file.nodata
        if nodata is not None:
            # what is predicted is data
            other = nodata + 1 if nodata < 1 else nodata - 1
            values = np.where(values == nodata, other, values)
            if missing is not None:
                whole = missing.all(axis=2, keepdims=True)
                alike = missing.shape == values.shape
                values = np.where(missing if alike else whole, nodata, values)
            values = values.astype(self.scene.raster.dtype)
        elif self.scene.has_mask:
            data = np.ones(values.shape[:2], bool)
            if missing is not None:
                data = ~missing.all(axis=2)
            self.sr.write_mask(part, data)
        self.sr.write(part, values)

    def _open_sr(self, values: np.ndarray) -> RasterFile:
        source = getattr(self.scene.raster, 'file', None)
        nodata = None
        if source is not None:  # a GeoTIFF has one for all of its bands
            each = [source.nodatavals[band - 1] for band in self.scene.bands]
            nodata = next((one for one in each if one is not None), None)
        if nodata is None and values.dtype.kind == 'f':
            nodata = np.nan
        raster = self._raster('sr', values.shape[2], values.dtype, nodata)
        raster.describe_bands(self.scene)
        return raster

    def _write_labels(self, part: Part, labels: np.ndarray) -> None:
        if self.labels is None:
            self.labels = self._raster('pred', 1, np.uint8, NO_LABEL)
            meta = self.inferencer.dataset_meta
            names = meta.get('classes')
            if names:
                text = json.dumps(list(names), ensure_ascii=False)
                self.labels.file.update_tags(classes=text)
            if meta.get('palette'):
                colors = enumerate(map(tuple, meta['palette']))
                self.labels.file.write_colormap(1, dict(colors))
            self.labels.file.set_band_description(1, 'label')
        self.labels.write(part, labels)

    def _raster(
        self, kind: str, count: int, dtype: Any, nodata: Optional[float]
    ) -> RasterFile:
        path = self._new_file(kind, '.tif')
        raster = RasterFile(path, self.scene, self.scale, count, dtype, nodata)
        # entered, it would have to be closed by the same thread
        self._open.callback(raster.file.close)
        return raster

    def _new_file(self, kind: str, suffix: str) -> str:
        path = self.paths[kind] + suffix
        name = f'{kind}/{osp.basename(path)}'
        # the polygons of labels have a folder's entry of their own
        self.files[kind if kind not in self.files else 'polygons'] = name
        return self._open.enter_context(whole_file(path))

    def finish(self) -> Union[np.ndarray, dict]:
        """Write what takes the whole scene; returns what was predicted, in
        coordinates of the SR image, labels as in the preview."""
        wanted = 'pred' in self.paths
        for one in (self.sr, self.labels):
            if one is not None:  # no file appears before all are complete
                one.file.close()
        raster = self.scene.raster
        source = getattr(raster, 'file', None)
        crs = transform = None
        if source is not None and raster.is_map:
            crs, transform = source.crs, finer(source.transform, self.scale)
        names = self.inferencer.dataset_meta.get('classes')
        if self.labels is not None and self.polygons:
            path = self._new_file('pred', '.geojson')
            write_regions(self.labels.file.name, names, path)
        if self.preview.labels is not None:
            return self.preview.labels
        if self.classes is not None:
            if wanted:
                path = self._new_file('pred', '.json')
                with open(path, 'w', encoding='utf-8') as file:
                    json.dump(as_json(self.classes), file, indent=1)
            return self.classes
        found = self.objects.merged()
        if wanted:
            path = self._new_file('pred', '.geojson')
            write_boxes(found, crs, transform, path, self.polygons)
        return found


class Preview:
    """A scene in few pixels.

    Args:
        scene (Scene): The scene.
        scale (int): Of the model.
    """

    def __init__(self, scene: Scene, scale: int) -> None:
        self.scene, self.scale = scene, scale
        height = scene.raster.height * scale
        width = scene.raster.width * scale
        self.step = max(1, -(-max(height, width) // PREVIEW))
        self.size = tuple(-(-side // self.step) for side in (height, width))
        self.pictures: Dict[str, np.ndarray] = {}
        self.labels: Optional[np.ndarray] = None

    def add(
        self, part: Part, sr: np.ndarray, labels: Optional[np.ndarray]
    ) -> None:
        """Take every so many pixels of a part."""
        starts = [self.scale * start for start in part.kept[:2]]
        sides = [self.scale * side for side in part.kept[2:]]
        at = [
            np.arange(-start % self.step, side, self.step)
            for start, side in zip(starts, sides)
        ]
        y, x = (
            slice(-(-start // self.step), -(-start // self.step) + len(index))
            for start, index in zip(starts, at)
        )
        for name, values, index in (
            ('lr', part.values, [one // self.scale for one in at]),
            ('sr', sr, at),
        ):
            if name not in self.pictures:
                shape = (*self.size, values.shape[2])
                self.pictures[name] = np.zeros(shape, values.dtype)
            self.pictures[name][y, x] = values[np.ix_(*index)]
        if labels is not None:
            if self.labels is None:
                self.labels = np.zeros(self.size, np.uint8)
            self.labels[y, x] = labels[np.ix_(*at)]

    def draw(self) -> Tuple[np.ndarray, np.ndarray]:
        """The LR and the SR image: RGB, uint8, (h, w, 3)."""
        bands = self.scene.of_model.rgb
        lr, sr = (
            self.pictures[name][..., [min(b, self.last(name)) for b in bands]]
            for name in ('lr', 'sr')
        )
        if sr.dtype != np.uint8:
            # as most of the scene has it, but where it has no data
            given = lr[(lr != self.scene.fill).any(axis=2)]
            low, high = np.percentile(
                given if len(given) else lr.reshape(-1, 3), (2, 98), axis=0
            )
            span = np.maximum(high - low, 1e-12)
            lr, sr = (
                (((one - low) / span).clip(0, 1) * 255).astype(np.uint8)
                for one in (lr, sr)
            )
        small = lr[:: self.scale, :: self.scale]
        return np.ascontiguousarray(small), np.ascontiguousarray(sr)

    def shrink(self, prediction: Union[np.ndarray, dict]) -> Any:
        """What is found, in pixels of the preview, where it is drawn."""
        if isinstance(prediction, np.ndarray) or 'bboxes' not in prediction:
            return prediction
        boxes = np.reshape(prediction['bboxes'], (-1, 4)) / self.step
        found = dict(prediction, bboxes=boxes.tolist())
        found.pop('masks', None)  # each in pixels of its part
        return found

    def last(self, name: str) -> int:
        return self.pictures[name].shape[2] - 1


def predict_map(
    inferencer: 'Inferencer',
    path: str,
    stem: str,
    writer: 'ResultWriter',
    bands: Optional[Sequence[int]],
    polygons: bool,
    batch_size: int,
    score_thr: Optional[float],
    progress: 'Progress',
) -> Tuple[dict, dict]:
    """Predict from a scene, part by part, and write what is found.

    Args:
        inferencer (Inferencer): What predicts.
        path (str): The scene.
        stem (str): What its files are called.
        writer (ResultWriter): Which of them are wanted, and where.
        bands (Sequence[int], optional): See :class:`Scene`.
        polygons (bool): See :class:`MapWriter`.
        batch_size (int): How many parts the networks see at once.
        score_thr (float, optional): Score from which on boxes are drawn; None
            for no drawing.
        progress (Progress): Where the parts are counted.

    Returns:
        tuple[dict, dict]: Its row of :class:`ResultIndex`, and what
        :meth:`Inferencer.stream` yields, but the name.

    Raises:
        DataError: That names the part at which it failed; then no file is
            left.
    """
    wanted = dict(sr='sr' in writer.pictures, pred=writer.pred)
    paths = {
        kind: osp.join(writer.out_dir, kind, stem)
        for kind, wants in wanted.items()
        if wants
    }
    with open_raster(path) as raster:
        scene = Scene(raster, inferencer, bands)
        kept, margin = part_size(inferencer)
        sides = zip((raster.height, raster.width), kept or ())
        total = prod(-(-whole // side) for whole, side in sides)
        task = progress.add_task(stem, total=total)
        # none of them lives on, since each holds its pixels
        parts = scene.parts(kept, margin, kept and inferencer.size)
        found = predict_all(
            inferencer, ((part, part) for part in parts), Part.read, batch_size
        )
        # whatever happens, no thread reads or writes when files are closed
        with MapWriter(scene, inferencer, paths, polygons) as maps, closing(
            found
        ), closing(in_threads(maps.add, found, 1, 1)) as added:
            for part, error in added:
                if error is not None:
                    raise DataError(
                        f'{part.kept} of {raster.height} x {raster.width}: '
                        f'{inferencer._explain(error)}'
                    ) from error
                progress.advance(task)
            prediction = maps.finish()
        scene.warn()
    lr, sr = maps.preview.draw()
    drawing, files = None, maps.files
    if score_thr is not None:
        drawing = draw_result(
            lr,
            sr,
            maps.preview.shrink(prediction),
            name_view(inferencer.view),
            inferencer.dataset_meta,
            score_thr,
        )
        if 'visualization' in writer.pictures:
            files['vis'] = f'vis/{stem}.png'
            picture = osp.join(writer.out_dir, files['vis'])
            write_image(drawing[..., ::-1], picture)
    row = dict(files=files)
    if maps.classes is not None:
        row['prediction'] = as_json(maps.classes)
    result = dict(prediction=prediction, lr=lr, sr=sr, visualization=drawing)
    return row, result


def part_size(
    inferencer: 'Inferencer',
) -> Tuple[Optional[Tuple[int, int]], int]:
    """LR pixels of a part: height and width that are kept, None for the whole
    scene, and how many are seen round them."""
    if inferencer.toolbox == 'mmpretrain':  # a class of the whole
        return None, 0
    if inferencer.size is not None:
        margin = min(MARGIN, min(inferencer.size) // 4)
        height, width = (side - 2 * margin for side in inferencer.size)
        return (height, width), margin
    kept = KEPT if inferencer.scale <= 4 else KEPT_ABOVE_4
    if inferencer.tile is not None:
        kept = max((inferencer.tile - 2 * MARGIN) // 32 * 32, 32)
    return (kept, kept), MARGIN
