"""dicom-ai: ultrasound from scanner to report.

Six stages in one row: receive (storage SCP), store (object files and ledger), crop (only validated scan area
survives), classify (networks on the device), report (Structured Report and heatmap captures), deliver (to the
PACS). A stage never imports another stage; `workflow` passes values between them.
"""

__version__ = "0.1.0"
