"""The `s3:` adapter: objects in a bucket of any server that speaks S3 (AWS, Ceph, SeaweedFS, Garage, Swift's s3api,
rclone). The one door of aiobotocore."""

from common.files.s3.settings import S3Settings
from common.files.s3.store import S3Files

__all__ = ["S3Files", "S3Settings"]
