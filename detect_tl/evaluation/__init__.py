"""How good a detector is: COCO metrics from pycocotools, plots and the report of a run."""
