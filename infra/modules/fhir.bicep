// FHIR R4 service of Azure Health Data Services, for those who have no FHIR server yet.
param location string
param tags object
param workspaceName string
param serviceName string
param logWorkspaceId string

@description('URL of the service; tokens must be issued for it.')
param audience string

resource workspace 'Microsoft.HealthcareApis/workspaces@2024-03-31' = {
  name: workspaceName
  location: location
  tags: tags
  properties: { publicNetworkAccess: 'Enabled' }
}

resource service 'Microsoft.HealthcareApis/workspaces/fhirservices@2024-03-31' = {
  parent: workspace
  name: serviceName
  location: location
  tags: tags
  kind: 'fhir-R4'
  identity: { type: 'SystemAssigned' }
  properties: {
    authenticationConfiguration: {
      authority: '${environment().authentication.loginEndpoint}${tenant().tenantId}'
      audience: audience
      smartProxyEnabled: false
    }
    resourceVersionPolicyConfiguration: { default: 'versioned' }
  }
}

resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: service
  name: 'audit'
  properties: {
    workspaceId: logWorkspaceId
    logs: [{ category: 'AuditLogs', enabled: true }]
  }
}
