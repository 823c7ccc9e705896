def test_mmagic_imports():
    import mmagic.models.editors  # noqa: F401  (reads np.bool8)
