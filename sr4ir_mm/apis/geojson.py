"""What was predicted, as polygons on a map (GeoJSON, RFC 7946)."""

import json
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterable,
    List,
    Optional,
    Sequence,
    Tuple,
)

from sr4ir_mm.utils.labels import name_label

if TYPE_CHECKING:
    from rasterio import Affine

LONGITUDE_LATITUDE = 'EPSG:4326'
DIGITS = 9  # behind the point: 0.1 mm of a degree


def write_boxes(
    found: Dict[str, list],
    crs: Any,
    transform: Optional['Affine'],
    path: str,
    masks: bool,
) -> None:
    """Write objects, each a polygon with ``class``, ``label`` and ``score``.

    Args:
        found (dict): Of :meth:`Objects.merged`.
        crs (CRS, optional): Of the scene.
        transform (Affine, optional): From SR pixels to the scene's
            coordinates. Without it, polygons are in SR pixels.
        path (str): Where to.
        masks (bool): Whether polygons are those of masks, not of boxes.
    """
    from rasterio import Affine

    transform = transform or Affine.identity()
    names = found.get('label_names', found.get('labels', []))
    geometries = []
    for i, box in enumerate(found.get('bboxes', [])):
        if masks and 'masks' in found:
            geometry = _outline(found['masks'][i], found['at'][i], transform)
        else:
            left, top, right, bottom = box
            corners = (left, top), (left, bottom), (right, bottom)
            corners = (*corners, (right, top), (left, top))
            ring = [_place(transform, *corner) for corner in corners]
            geometry = dict(type='Polygon', coordinates=[ring])
        geometries.append(geometry)
    properties = [
        {'class': str(name), 'label': label, 'score': score}
        for name, label, score in zip(
            names, found.get('labels', []), found.get('scores', [])
        )
    ]
    _write(geometries, properties, crs, path)


def write_regions(
    labels: str, names: Optional[Sequence[str]], path: str
) -> None:
    """Write the regions of a raster of labels, each a polygon with ``class``
    and ``label``.

    Args:
        labels (str): The raster.
        names (Sequence[str], optional): Of the classes.
        path (str): Where to.
    """
    import rasterio
    from rasterio.features import shapes

    geometries, properties = [], []
    with rasterio.open(labels) as file:
        for geometry, label in shapes(
            rasterio.band(file, 1), transform=file.transform
        ):
            if label != file.nodata:
                name = name_label(int(label), names)
                geometries.append(geometry)
                properties.append({'class': name, 'label': int(label)})
        crs = file.crs
    _write(geometries, properties, crs, path)


def _place(transform: 'Affine', x: float, y: float) -> Tuple[float, float]:
    a, b, c, d, e, f = transform[:6]
    return a * x + b * y + c, d * x + e * y + f


def _outline(mask: dict, at: Sequence[float], transform: 'Affine') -> dict:
    """Polygons of a mask that is run-length encoded."""
    from pycocotools.mask import decode
    from rasterio.features import shapes

    inside = decode(mask)
    origin = _place(transform, *at)
    a, b, _, d, e, _ = transform[:6]
    moved = type(transform)(a, b, origin[0], d, e, origin[1])
    polygons = [
        geometry['coordinates']
        for geometry, _ in shapes(inside, inside > 0, transform=moved)
    ]
    return dict(type='MultiPolygon', coordinates=polygons)


def _write(
    geometries: List[dict], properties: Iterable[dict], crs: Any, path: str
) -> None:
    if crs is not None and geometries:
        from rasterio.warp import transform_geom

        geometries = transform_geom(crs, LONGITUDE_LATITUDE, geometries)
    features = [
        dict(type='Feature', geometry=_wound(geometry), properties=one)
        for geometry, one in zip(geometries, properties)
    ]
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(
            dict(type='FeatureCollection', features=features),
            file,
            ensure_ascii=False,
        )


def _wound(geometry: dict) -> dict:
    """Outer rings run counterclockwise, those of holes clockwise."""
    single = geometry['type'] == 'Polygon'
    polygons = geometry['coordinates']
    polygons = [
        [_turn(ring, outer=i == 0) for i, ring in enumerate(rings)]
        for rings in ([polygons] if single else polygons)
    ]
    coordinates = polygons[0] if single else polygons
    return dict(type=geometry['type'], coordinates=coordinates)


def _turn(ring: Sequence[Sequence[float]], outer: bool) -> List[List[float]]:
    area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(ring, ring[1:]))
    ring = [[round(x, DIGITS), round(y, DIGITS)] for x, y in ring]
    return ring if (area > 0) == outer else ring[::-1]
