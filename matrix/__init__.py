"""The host's side of Carryover: plan, engine, results, report. Imports neither TensorFlow nor any subject."""
