"""What `dicom-ai doctor` looks at, one room each: host, running service, ledger, models, peers. Nothing is changed."""
