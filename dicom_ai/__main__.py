"""`python -m dicom_ai` is `dicom-ai`."""

from dicom_ai.cli import main

if __name__ == "__main__":
    main()
