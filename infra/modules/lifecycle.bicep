// What happens to data that no function touches any more: a safety net under the archive function.
param accountName string
param landingContainer string
param workContainer string
param landingArchiveAfterDays int
param workDeleteAfterDays int

// Intermediate data of the work container; markers and indexes are small and stay.
var dataPrefix = 'data/'

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: accountName
}

var archiveRule = {
  name: 'landing-to-archive'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: { blobTypes: ['blockBlob'], prefixMatch: ['${landingContainer}/'] }
    actions: { baseBlob: { tierToArchive: { daysAfterModificationGreaterThan: landingArchiveAfterDays } } }
  }
}

var deleteRule = {
  name: 'work-data-deleted'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: { blobTypes: ['blockBlob', 'appendBlob'], prefixMatch: ['${workContainer}/${dataPrefix}'] }
    actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: workDeleteAfterDays } } }
  }
}

resource policy 'Microsoft.Storage/storageAccounts/managementPolicies@2023-05-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: { rules: [archiveRule, deleteRule] }
  }
}
