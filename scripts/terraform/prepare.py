"""What an installation finds in its account before the first apply: prints a certificate's ARN and a hosted zone's id, made in the emulator."""

import boto3

certificate = boto3.client("acm").request_certificate(DomainName="crm-dev.example.org", ValidationMethod="DNS")["CertificateArn"]
zone = boto3.client("route53").create_hosted_zone(Name="example.org", CallerReference="terraform")["HostedZone"]["Id"].removeprefix("/hostedzone/")
print(certificate, zone)
