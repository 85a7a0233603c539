"""The same plan and delivery on a Dask cluster."""
