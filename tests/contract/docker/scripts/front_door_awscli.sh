# A user's commands for the AWS CLI, as they would run on AWS; $1: the aws command, $2: where the answers go.
set -euo pipefail
aws=$1 answers=$2
mkdir -p "$answers"

"$aws" s3 mb s3://mine
printf '1,2,3\n' > table.csv
"$aws" s3 cp table.csv s3://mine/data/table.csv
head -c 20000000 /dev/zero > large
"$aws" s3 cp large s3://mine/large --no-progress # In parts.
"$aws" s3 cp s3://mine/large large-again --no-progress
cmp large large-again
"$aws" s3 sync s3://mine mirrored --exclude large
"$aws" s3 ls s3://mine --recursive > "$answers/listed"

"$aws" sagemaker create-training-job --training-job-name cli --role-arn arn:aws:iam::123456789012:role/SageMakerRole \
  --algorithm-specification TrainingImage=polyadic,TrainingInputMode=File \
  --input-data-config '[{"ChannelName":"train","DataSource":{"S3DataSource":{"S3DataType":"S3Prefix","S3Uri":"s3://mine/data"}}}]' \
  --output-data-config S3OutputPath=s3://mine/out --stopping-condition MaxRuntimeInSeconds=600 \
  --resource-config InstanceType=ml.m5.large,InstanceCount=1,VolumeSizeInGB=1
"$aws" sagemaker wait training-job-completed-or-stopped --training-job-name cli
"$aws" sagemaker describe-training-job --training-job-name cli --query TrainingJobStatus > "$answers/status"
"$aws" logs filter-log-events --log-group-name /aws/sagemaker/TrainingJobs --query 'events[].message' > "$answers/lines"

"$aws" sagemaker create-model --model-name cli --execution-role-arn arn:aws:iam::123456789012:role/SageMakerRole \
  --primary-container Image=polyadic,ModelDataUrl=s3://mine/out/cli/output/model.tar.gz
"$aws" sagemaker create-endpoint-config --endpoint-config-name cli \
  --production-variants VariantName=A,ModelName=cli,InstanceType=ml.m5.large,InitialInstanceCount=1
"$aws" sagemaker create-endpoint --endpoint-name cli --endpoint-config-name cli
"$aws" sagemaker wait endpoint-in-service --endpoint-name cli
"$aws" sagemaker-runtime invoke-endpoint --endpoint-name cli --body '{"instances": [[0]]}' \
  --cli-binary-format raw-in-base64-out "$answers/answer" > /dev/null || "$aws" sagemaker-runtime invoke-endpoint \
  --endpoint-name cli --body '{"instances": [[0]]}' "$answers/answer" > /dev/null
"$aws" sagemaker delete-endpoint --endpoint-name cli
"$aws" sagemaker wait endpoint-deleted --endpoint-name cli
"$aws" sagemaker list-endpoints --query 'length(Endpoints)' > "$answers/left"
