"""Networks, their registry and their cards. Knows nothing of DICOM, studies or disks of the service."""
