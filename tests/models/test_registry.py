"""The registry: shipped entries, the user's own, and errors that name the field."""

import numpy as np
import pytest
import torch
from frozen_graphs import write_graph

from roundoff.errors import RoundoffError
from roundoff.models.base import Grid, Prediction
from roundoff.models.labels import load_label_table
from roundoff.models.registry import get_model, load_registry

OWN = {
    "title": "Mean filter",
    "task": "denoising",
    "weights_kind": "no weights",
    "factory": "test_registry:build_mean",
    "grid": {"voxel_size": 2.0, "shape": [8, 8, 8], "dtype": "float32"},
    "maps": [{"name": "mean"}],
    "options": {"width": 3},
}


class MeanFilter:
    """The smallest model a user may bring."""

    def __init__(self, width):
        self.pool = torch.nn.AvgPool3d(width, stride=1, padding=width // 2)

    def modules(self):
        return {"pool": self.pool}

    def predict(self, volume, voxel_size, progress=None):
        image = torch.from_numpy(volume.astype(np.float32))[None, None]
        return Prediction(maps={"mean": self.pool(image)[0, 0].numpy()})


def build_mean(weights, *, width):
    return MeanFilter(width)


def test_every_shipped_entry_is_complete():
    registry = load_registry()
    assert {"fastsurfer_demo", "deepbrain", "fastsurfer", "fondue"} <= set(registry)
    assert {"synthmorph", "voxelmorph2018"} <= set(registry)
    for name, spec in registry.items():
        assert spec.name == name
        assert callable(spec._factory())
        assert spec.weights
        assert spec.weights_kind in ("demo weights", "official weights")
        if spec.labels:
            assert load_label_table(spec.labels)


def test_demo_weights_are_never_called_official():
    for spec in load_registry().values():
        assert ("demo" in spec.name) == (spec.weights_kind == "demo weights")


def test_a_model_of_ones_own_takes_one_entry():
    spec = get_model("mean", {"mean": OWN})
    assert spec.grid == Grid(voxel_size=2.0, shape=(8, 8, 8), dtype="float32")
    assert spec.maps[0].title == "mean"
    prediction = spec.build({}).predict(np.ones(spec.grid.shape), 2.0)
    assert prediction.maps["mean"][4, 4, 4] == pytest.approx(1.0)


def test_an_entry_under_a_known_name_changes_only_what_it_states():
    spec = get_model("deepbrain", {"deepbrain": {"weights": {"network": "/my/g.pb"}}})
    assert spec.weights == {"network": "/my/g.pb"}
    assert spec.factory == load_registry()["deepbrain"].factory
    assert load_registry()["deepbrain"].weights == {"network": "deepbrain"}


def test_pinned_checksum_is_checked_when_the_model_is_built(tmp_path):
    path = tmp_path / "graph.pb"
    write_graph(path)
    entry = {"weights": {"network": str(path)}, "sha256": {"network": "0" * 64}}
    with pytest.raises(RoundoffError, match=r"sha256\.network says 0000"):
        get_model("deepbrain", {"deepbrain": entry}).build({"network": path})


def test_prediction_of_a_built_model_matches_its_entry(tmp_path):
    write_graph(tmp_path / "graph.pb")
    spec = get_model("deepbrain")
    model = spec.build({"network": tmp_path / "graph.pb"})
    prediction = model.predict(np.ones((16, 16, 16), np.uint8), 2.0)
    assert set(prediction.maps) == {m.name for m in spec.maps}
    assert all(m.dtype == np.float32 for m in prediction.maps.values())
    known = {label.index for label in load_label_table(spec.labels)}
    assert set(np.unique(prediction.labels)) <= known


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(RoundoffError, match="Did you mean 'deepbrain'"):
        get_model("deepbrian")
    with pytest.raises(RoundoffError, match=r"models\[2\].*Known: fastsurfer_demo"):
        get_model("qqq", field="models[2]")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factroy": "a:b"}, r"no field is called 'factroy'.*'factory'"),
        ({"factory": "no_colon"}, r"expected 'package\.module:name'"),
        ({"maps": []}, "at least one continuous output"),
        ({"maps": [{"name": "my_map"}]}, "letters and digits only"),
        ({"maps": [{"nam": "a"}]}, "no field is called 'nam'"),
        ({"grid": {"shape": [8, 8]}}, "expected three sizes"),
        ({"grid": {"voxel_size": 0}}, "voxel_size is 0"),
        ({"grid": {"voxels": 1}}, "no field is called 'voxels'"),
        ({"weights": ["a"]}, "expected one text per role"),
    ],
)
def test_a_wrong_entry_names_its_field(changes, message):
    with pytest.raises(RoundoffError, match=message):
        load_registry({"mean": OWN | changes})


def test_missing_fields_are_listed():
    with pytest.raises(RoundoffError, match="title, task"):
        load_registry({"mean": {"factory": "a:b"}})
    with pytest.raises(RoundoffError, match=r"custom_models\.mean: expected fields"):
        load_registry({"mean": "a:b"})


def test_a_factory_that_cannot_be_imported_says_how_to_help():
    spec = get_model("mean", {"mean": OWN | {"factory": "not_installed:build"}})
    with pytest.raises(RoundoffError, match=r"'not_installed:build'.*PYTHONPATH"):
        spec.build({})


def test_an_option_the_factory_lacks_is_named():
    spec = get_model("mean", {"mean": OWN}).with_options({"widht": 5})
    with pytest.raises(RoundoffError, match=r"'widht'. Known: width"):
        spec.build({})
