"""Evidently's drift report on two Parquet files: seconds, memory and bytes as one JSON object.

Arguments: reference, current, page to write, and the columns as JSON, `{"numeric": [...], "categorical": [...]}`.
"""
import json, os, resource, sys, time

import pandas
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

reference, current, page, columns = sys.argv[1:5]
columns = json.loads(columns)
definition = DataDefinition(numerical_columns=columns["numeric"], categorical_columns=columns["categorical"])
wall, cpu = time.perf_counter(), time.process_time()


def read(path):
    frame = pandas.read_parquet(path, columns=columns["numeric"] + columns["categorical"])
    return Dataset.from_pandas(frame, data_definition=definition)


snapshot = Report([DataDriftPreset()]).run(read(current), read(reference))
snapshot.save_html(page)
print(json.dumps({
    "wall_s": time.perf_counter() - wall,
    "cpu_s": time.process_time() - cpu,
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    "page_bytes": os.path.getsize(page),
}))
